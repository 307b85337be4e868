"""The live stream over a real HTTP server: at once, filtered, and without a hole after a break."""

import asyncio
import json
import re
from collections.abc import AsyncIterator

import httpx
import pytest

from services.ops.consumers import subscribe
from services.ops.door import COOKIE
from tests.builders_history import DECIDED_AT, raw_of, whole_story
from tests.builders_ops import OFFICER, OPERATOR, Ops, listening, next_events, running_ops, served
from tests.databases import Databases


@pytest.fixture
async def ops(databases: Databases) -> AsyncIterator[Ops]:
    async with running_ops(await databases("ops")) as running:
        yield running


def names(events: list[dict[str, object]]) -> list[str]:
    return [str(event["type"]).split(".")[1] for event in events]


async def test_what_is_indexed_is_heard_at_once(ops: Ops) -> None:
    records = whole_story().past.records
    await ops.take(records[:5])
    async with served(ops.app) as url, listening(url, OPERATOR) as heard:
        first = asyncio.ensure_future(next_events(heard, 3))
        await until_somebody_listens()
        started = asyncio.get_running_loop().time()
        await ops.take(records[5:8])
        found = await first
        assert asyncio.get_running_loop().time() - started < 0.9, "the wake-up, not the second look, brought it"
    heard_by_id = {event["event_id"]: event for event in found}
    assert heard_by_id.keys() == {record.event_id for record in records[5:8]}
    one = heard_by_id[records[5].event_id]
    assert one["event"]["application_id"] == records[5].key
    assert one["headers"]["ce_source"] == f"/services/{records[5].emitter}"


async def until_somebody_listens() -> None:
    async with asyncio.timeout(60):
        while not subscribe.wake._listening:
            await asyncio.sleep(0.01)


async def test_a_listener_goes_on_after_what_it_saw_last(ops: Ops) -> None:
    records = whole_story().past.records
    async with served(ops.app) as url:
        await ops.take(records[:10])
        async with listening(url, OPERATOR, **{"from": "beginning"}) as heard:
            before = await next_events(heard, 4)
        await ops.take(records[10:])
        async with listening(url, {**OPERATOR, "Last-Event-ID": str(before[-1]["id"])}) as heard:
            after = await next_events(heard, len(records) - 4)
    places = [(event["topic"], event["offset"]) for event in before + after]
    assert sorted(places) == sorted((record.topic, record.offset) for record in records)


async def test_filters_are_applied_by_the_server(ops: Ops) -> None:
    story = whole_story()
    await ops.take(story.past.records)
    wanted = {
        (("topic", "review.scores"), ("type", "Scored")): {"Scored"},
        (("type", "GrantAwarded"), ("type", "ApplicationWaitlisted")): {"GrantAwarded", "ApplicationWaitlisted"},
        (("key", story.withdrawn),): {"ApplicationSubmitted", "ApplicationWithdrawn", "ApplicantNotified"},
        (("key", "inno-2021-0006"),): {"ApplicationSubmitted", "ApplicationWithdrawn", "ApplicantNotified"},
        (("text", "No Partner"),): {"ApplicationWithdrawn"},
        (("text", "100%_\\"),): set(),
        (("from", DECIDED_AT.isoformat()), ("topic", "review.scores")): set(),
        (("from", DECIDED_AT.isoformat()), ("topic", "funding.grants"), ("until", DECIDED_AT.isoformat())): {
            "GrantAwarded", "ApplicationWaitlisted", "ApplicationNotSelected", "RoundDecided",
        },
    }  # fmt: skip
    async with served(ops.app) as url:
        for query, expected in wanted.items():
            start = [] if dict(query).get("from") else [("from", "beginning")]
            end = [] if dict(query).get("until") else [("until", "2025-01-01T00:00:00Z")]
            assert await everything(url, [*start, *query, *end]) == expected


async def everything(url: str, query: list[tuple[str, str]]) -> set[str]:
    """The names of all that a stream brings which ends by itself."""
    async with httpx.AsyncClient(timeout=15) as client:
        answer = await client.get(f"{url}/api/v1/events", params=query, headers=OPERATOR)
    data = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line.startswith("data: ")]
    return set(names(data))


async def test_a_broken_record_is_heard_as_broken(ops: Ops) -> None:
    record = whole_story().past.records[0]
    async with served(ops.app) as url, listening(url, OPERATOR, **{"from": "beginning"}) as heard:
        await ops.take([raw_of(record, value=b"\xff")])
        (found,) = await next_events(heard, 1)
    assert found["event"] is None
    assert found["broken"]


async def test_looking_over_many_rows_moves_the_place_on_though_none_is_wanted(ops: Ops) -> None:
    records = whole_story().past.records
    await ops.take(records)
    async with (
        served(ops.app) as url,
        listening(url, OPERATOR, type="releve.Nothing.v1", **{"from": "beginning"}) as heard,
    ):
        event = await anext(heard)
    assert (event.data, event.id) == (None, (await ops.rows("SELECT max(id) AS id FROM event"))[0]["id"])


async def test_wrong_wishes_and_strangers_are_refused(ops: Ops) -> None:
    refused = await ops.client.get("/api/v1/events", params={"from": "yesterday", "until": "noon"}, headers=OPERATOR)
    assert refused.status_code == 422
    assert {error["field"] for error in refused.json()["errors"]} == {"from", "until"}
    assert (await ops.client.get("/api/v1/events", headers=OFFICER)).status_code == 403


@pytest.mark.parametrize("path", ["/", "/api/v1/events"])
async def test_what_no_index_can_answer_is_refused_before_the_stream_opens(ops: Ops, path: str) -> None:
    ops.client.cookies.set(COOKIE, "operator")
    for field in ("from", "until"):
        for value in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1", "-1", "1706745600"):
            await refused_naming(ops, path, field, value)
    for field in ("topic", "type", "key", "text"):
        await refused_naming(ops, path, field, "a\0b")


async def refused_naming(ops: Ops, path: str, field: str, value: str) -> None:
    refused = await ops.client.get(path, params={field: value}, headers=OPERATOR)
    assert refused.status_code == 422, (field, value)
    if path == "/":  # a page, with its form and the field marked
        assert re.findall(r'name="(\w+)"[^>]* aria-invalid="true"', refused.text) == [field]
        return
    assert {error["field"] for error in refused.json()["errors"]} == {field}


async def test_a_stream_ends_with_the_process(ops: Ops) -> None:
    async with served(ops.app) as url, listening(url, OPERATOR) as heard:
        rest = asyncio.ensure_future(_all(heard))
        await until_somebody_listens()
        subscribe.wake.close()
        try:
            async with asyncio.timeout(60):
                await rest
        finally:
            subscribe.wake.closing = False


async def _all(heard: AsyncIterator[object]) -> list[object]:
    return [event async for event in heard]


async def test_the_head_of_a_stream_ends_at_once(ops: Ops) -> None:
    async with served(ops.app) as url, httpx.AsyncClient(timeout=20) as client:
        head = await client.head(f"{url}/api/v1/events", headers=OPERATOR)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"].startswith("text/event-stream")
