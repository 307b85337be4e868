"""Ops and the command line on a real broker: everything is read, followed, measured and shown, broken records too."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click.testing
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from typer.testing import CliRunner

from cli.main import make_app
from services.ops.consumers import IndexingConsumer, subscribe
from shared.events.ops import EventQuarantined
from shared.history import Recorded, fold
from shared.history.lag import read_lag
from shared.history.reading import END, follow_raw, read_history, read_one, read_raw
from shared.ids import new_id
from shared.messaging.broker import Subscriber
from shared.messaging.records import RawRecord
from shared.tasks import end_tasks
from tests.builders_history import Story, own_story, publish, raw_of
from tests.builders_ops import OPERATOR, Ops, running_ops, settings
from tests.databases import Databases


@dataclass
class Published:
    """A story on the broker, a poisoned record among it, and the dead letter that tells of it."""

    story: Story
    poison: RawRecord
    letter: Recorded


@pytest.fixture(scope="module")
async def published(kafka_for_module: str) -> Published:
    story = own_story()
    past = story.past
    score = next(r for r in past.records if r.topic == "review.scores" and r.key == story.waitlisted)
    poison = raw_of(score, value=b"\xff\xfe poison", headers=(("ce_id", new_id().encode()),))
    await publish(kafka_for_module, [*past.records, poison])
    async for raw in read_raw(kafka_for_module, [poison.topic]):
        if raw.value == poison.value and raw.key == poison.key:
            poison = raw
    letter = past.record(
        EventQuarantined(
            occurred_at=past.now, service="funding", consumer="funding.review.scores", origin_topic=poison.topic,
            origin_partition=poison.partition, origin_offset=poison.offset, origin_key=story.waitlisted,
            event_id=new_id(), reason="Malformed: not UTF-8", attempts=3,
        )
    )  # fmt: skip
    await publish(kafka_for_module, [letter])
    return Published(story, poison, letter)


@pytest.fixture(scope="module")
def kafka_for_module(servers: object) -> str:
    return str(servers.kafka)  # type: ignore[attr-defined]


async def test_a_history_is_read_whole_with_what_cannot_be_read(kafka: str, published: Published) -> None:
    history = await read_history(kafka)
    mine = published.story.past
    assert {r.event_id for r in mine.records} <= {r.event_id for r in history.events}
    assert fold(history)[published.story.waitlisted].status == "waitlisted"
    assert published.poison.offset in {
        each.offset for each in history.unreadable if each.key == published.story.waitlisted
    }


async def test_one_record_is_reread_at_its_place(kafka: str, published: Published) -> None:
    place = (published.poison.topic, published.poison.partition, published.poison.offset)
    found = await read_one(kafka, *place)
    assert found is not None
    assert (found.value, found.key) == (published.poison.value, published.poison.key)
    assert await read_one(kafka, "review.scores", published.poison.partition, 10**9) is None
    assert await read_one(kafka, "review.scores", 999, 0) is None


async def test_a_reader_that_follows_hears_what_comes_and_only_that(kafka: str) -> None:
    story = own_story()
    heard: list[bytes | None] = []
    ready = asyncio.Event()

    def of_mine(raw: RawRecord) -> bool:
        return raw.key in {r.key.encode() for r in story.past.records}

    async def listen() -> None:
        async for raw in follow_raw(kafka, start=END, wanted=of_mine):
            ready.set()
            if raw is not None:
                heard.append(raw.value)
            if len(heard) == len(story.past.records):
                return

    async with asyncio.timeout(60):
        listener = asyncio.create_task(listen())
        await ready.wait()
        await publish(kafka, story.past.records)
        await listener
    assert sorted(filter(None, heard)) == sorted(r.event.model_dump_json().encode() for r in story.past.records)


async def test_lag_is_told_in_messages_and_in_time(kafka: str) -> None:
    group = f"test.{new_id()}"
    story = own_story()
    await publish(kafka, [r for r in story.past.records if r.topic == "review.scores"])
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, group_id=group, enable_auto_commit=False)
    await consumer.start()
    await consumer.stop()
    before = await read_lag(kafka, {group: "review.scores"})
    assert sum(each.messages for each in before) >= 9
    assert all(each.committed is None for each in before)
    assert all((each.since is not None) == (each.messages > 0) for each in before)
    await commit(kafka, group, {TopicPartition("review.scores", each.partition): each.end for each in before})
    await publish(kafka, [next(r for r in own_story().past.records if r.topic == "review.scores")])
    (behind,) = [each for each in await read_lag(kafka, {group: "review.scores"}) if each.messages]
    seconds = behind.document(datetime.now(UTC))["seconds"]
    assert behind.messages == 1
    assert 0 <= seconds < 60


async def commit(kafka: str, group: str, offsets: dict[TopicPartition, int]) -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign(list(offsets))
        await consumer.commit(offsets)
    finally:
        await consumer.stop()


@pytest.fixture
async def ops(databases: Databases, kafka: str) -> AsyncIterator[Ops]:
    """Ops with its own consumers on the broker, under groups of this test."""
    async with running_ops(await databases("ops"), kafka) as running:
        consumers = []
        for topic in subscribe.topics:
            consumer = IndexingConsumer(running.db, subscribe, topic, settings())
            consumer.name = f"test.{new_id()}.{topic}"
            consumers.append(consumer)
        subscriber = Subscriber(consumers, settings(kafka_bootstrap_servers=kafka, session_timeout_s=6), "ops")
        task = asyncio.create_task(subscriber.run())
        yield running
        await end_tasks([task])


async def test_ops_sees_within_seconds_what_a_service_set_aside_with_its_bytes(ops: Ops, published: Published) -> None:
    letter = published.letter
    async with asyncio.timeout(60):
        while not [each for each in await listed(ops) if each["id"] == letter.event_id]:
            await asyncio.sleep(0.1)
    found = await ops.get(f"/api/v1/dead-letters/{letter.event_id}")
    assert found["record"]["value"]["text"] == "\\xff\\xfe poison"
    assert found["readable_now"]["ok"] is False
    groups = (await ops.get("/api/v1/lag"))["groups"]
    assert {"funding.review.scores", "ops.notify.deliveries"} <= groups.keys()


async def listed(ops: Ops) -> list[dict[str, object]]:
    answer = await ops.client.get("/api/v1/dead-letters", headers=OPERATOR)
    items: list[dict[str, object]] = answer.json()["items"]
    return items


@pytest.fixture
def command(kafka: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> "Command":
    """The command line against the broker of the tests."""
    values = {"RELEVE_STATE_DIR": str(tmp_path), "RELEVE_KAFKA_BOOTSTRAP_SERVERS": kafka,
              "RELEVE_OIDC_ISSUER": "http://127.0.0.1:1", "RELEVE_OPS_PORT": "1"}  # fmt: skip
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return Command()


class Command:
    """`releve …` in this process, on a thread of its own."""

    async def __call__(self, *words: str, status: int = 0) -> str:
        result: click.testing.Result = await asyncio.to_thread(CliRunner().invoke, make_app(words[0]), list(words))
        assert result.exit_code == status, result.output
        # A document has none of the warnings in it that clients write beside it.
        return result.stdout or result.output


async def test_tail_shows_a_span_with_broken_records(command: Command, published: Published) -> None:
    story = published.story
    shown = await command("tail", "--from", "beginning", "--until", "end", "--key", story.waitlisted)
    lines = shown.splitlines()
    assert [name for name in ("ApplicationSubmitted", "Scored", "ApplicationWaitlisted") if name not in shown] == []
    assert [line for line in lines if "BROKEN" in line and published.poison.topic in line]
    assert len(lines) == len([r for r in story.past.records if r.key == story.waitlisted]) + 1


async def test_tail_filters_and_speaks_to_machines(command: Command, published: Published) -> None:
    words = ("tail", "--from", "beginning", "--until", "end", "--json", "--headers", "--type", "GrantAwarded")
    for extra in (("--text", published.story.laureates[0]), ("--key", published.story.laureates[0])):
        (line,) = (await command(*words, *extra)).splitlines()
        found = json.loads(line)
        assert found["event"]["application_id"] == published.story.laureates[0]
        assert found["headers"]["ce_type"] == "releve.GrantAwarded.v1"


async def test_tail_between_two_offsets(command: Command, published: Published) -> None:
    offset = str(published.poison.offset)
    shown = await command("tail", "--topic", "review.scores", "--from", offset, "--until", offset, "--json")
    assert {json.loads(line)["offset"] for line in shown.splitlines()} == {published.poison.offset}


async def test_tail_until_a_past_time_ends_by_itself(command: Command, published: Published) -> None:
    shown = await command("tail", "--until", "2021-07-01T00:00:00Z", "--from", "beginning", "--topic", "intake.calls",
                          "--key", published.story.past.call.id, "--json")  # fmt: skip
    assert [json.loads(line)["type"] for line in shown.splitlines()] == ["releve.CallPublished.v1"]


async def test_tail_says_when_nothing_lies_there(command: Command) -> None:
    assert "Nothing of that kind lies there." in await command("tail", "--from", "99999999", "--until", "end")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--topic", "intake.contacts"), "personal data"), (("--topic", "nothing"), "no topic is named"),
        (("--type", "Nothing"), "no event is named"),
        (("--from", "yesterday"), "--from"), (("--until", "noon"), "--until"),
    ],
)  # fmt: skip
async def test_tail_refuses_wrong_use(command: Command, words: tuple[str, ...], said: str) -> None:
    assert said in await command("tail", *words, status=2)


async def test_trace_tells_the_story_with_ops_down(command: Command, published: Published) -> None:
    shown = await command("trace", published.story.waitlisted)
    assert "OutcomeAnnounced" in shown
    assert "a record that was set aside (funding.review.scores: Malformed: not UTF-8)" in shown
    document = json.loads(await command("trace", published.story.waitlisted, "--json"))
    assert document["status"] == "waitlisted"
    assert [gap["code"] for gap in document["gaps"]] == ["quarantined"]
    assert "No event is about" in await command("trace", new_id(), status=1)


async def test_lag_lists_every_declared_group(command: Command, published: Published) -> None:
    assert "funding.review.scores" in await command("lag", "--partitions")
    document = json.loads(await command("lag", "--json"))
    assert {"group", "messages", "seconds"} <= document["partitions"][0].keys()


async def test_dead_letters_are_listed_shown_and_a_replay_is_planned(command: Command, published: Published) -> None:
    letter, poison = published.letter, published.poison
    assert f"{poison.place}" in await command("dead-letters", "list")
    items = json.loads(await command("dead-letters", "list", "--json"))["items"]
    (item,) = [each for each in items if each["id"] == letter.event_id]
    assert (item["reason"], item["attempts"], item["origin_offset"]) == ("Malformed: not UTF-8", 3, poison.offset)
    for named in (letter.event_id, poison.place):
        assert "\\xff\\xfe poison" in await command("dead-letters", "show", named)
    planned = await command("dead-letters", "replay", letter.event_id)
    assert "It would fail again" in planned
    assert "Nothing was done" in planned
    planned = await command("dead-letters", "dismiss", letter.event_id, "--because", "a test by hand")
    assert f"funding would let {poison.place} go" in planned
    assert "what waits behind it" in planned
    assert "Nothing was done" in planned
    assert "is named nothing" in await command("dead-letters", "show", "nothing", status=1)


async def test_a_replay_needs_an_issuer_and_ops(command: Command, published: Published) -> None:
    letter = published.letter.event_id
    assert "No token" in await command("dead-letters", "replay", letter, "--yes", status=1)
    answered = await command("dead-letters", "replay", letter, "--yes", "--token", "t", status=1)
    assert "ops does not answer" in answered


async def test_kafka_away_is_one_sentence(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELEVE_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    for words in (("lag",), ("tail",), ("trace", new_id()), ("dead-letters", "list")):
        assert (await command(*words, status=1)).startswith("Kafka does not answer")
