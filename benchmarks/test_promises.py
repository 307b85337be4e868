"""What the benchmarks of the deadline hour and of replicas would call a broken promise, and that they would see it."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import time
from datetime import UTC, datetime

import pytest

from benchmarks.answered import Stored, Told, storing_try, violations
from benchmarks.deadline import arrivals
from benchmarks.replicas import violations as violations_of_order
from benchmarks.rush import Applicant, Plan, Try, rush

END = 1_000_000.0
RECEIVED = datetime.fromtimestamp(END - 10, UTC)


def taken(number: int, *before: Try) -> Applicant:
    told = {"application_id": f"a{number}", "reference": f"R-{number}", "submitted_at": RECEIVED.isoformat()}
    return Applicant(number, [*before, Try(END - 10.5, END - 9, 201)], told)


def late(number: int, *, sent: float = END + 0.1, code: str = "round_closed") -> Applicant:
    return Applicant(number, [Try(sent, max(sent, END) + 0.2, 403, code)])


def row(number: int) -> Stored:
    return Stored(f"a{number}", f"key-{number}", f"R-{number}", RECEIVED)


def told(*numbers: int) -> Told:
    ids = [f"a{number}" for number in numbers]
    counted = (len(ids), hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest())
    return Told([(each, RECEIVED) for each in ids], [counted])


def broken(applicants: list[Applicant], rows: list[Stored], said: Told) -> list[str]:
    return list(violations(applicants, rows, said, END))


def test_a_kept_hour_has_nothing_to_say_against_it() -> None:
    turned_away = Try(END - 20, END - 19, 503, "unavailable", 5)
    assert broken([taken(1, turned_away), taken(2), late(3)], [row(1), row(2)], told(1, 2)) == []


@pytest.mark.parametrize(
    ("applicants", "rows", "said", "why"),
    [
        ([taken(1)], [], told(), "key-1 was answered 201 and is not stored"),
        ([late(1)], [row(1)], told(1), "key-1 is stored, and its applicant was told that it is not"),
        ([taken(1)], [row(1)], told(), "a1 is stored and not told"),
        ([taken(1)], [row(1)], told(1, 1), "the event of a1 is there 2 times"),
        ([taken(1)], [row(1), row(1)], told(1), "the key key-1 is there 2 times"),
        ([late(1, sent=END - 2)], [], told(), "key-1 was refused as late, and had sent it 2.000 s before the end"),
        ([late(1, code="forbidden")], [], told(), "key-1 was answered 403 forbidden"),
        (
            [taken(1, Try(END - 20, END - 19, 503, "unavailable"))], [row(1)], told(1),
            "key-1 was turned away without a word of when to come back",
        ),
        (
            [taken(1)], [dataclasses.replace(row(1), submitted_at=datetime.fromtimestamp(END + 1, UTC))], told(1),
            "key-1 was taken 1.000 s after the end",
        ),
        (
            [taken(1)], [dataclasses.replace(row(1), submitted_at=datetime.fromtimestamp(END - 11, UTC))], told(1),
            "key-1 has a time of receipt at which it was not on its way",
        ),
    ],
)  # fmt: skip
def test_each_broken_promise_is_named(applicants: list[Applicant], rows: list[Stored], said: Told, why: str) -> None:
    assert why in broken(applicants, rows, said)


def test_a_round_that_counts_others_than_are_stored_is_named() -> None:
    assert any("the round was closed" in each for each in broken([taken(1)], [row(1)], dataclasses.replace(
        told(1), closings=[(1, "another hash")],
    )))  # fmt: skip


def test_the_try_that_was_stored_is_the_one_that_was_on_its_way() -> None:
    cut_off = Try(END - 30, END - 25, 0)
    assert storing_try(taken(1, cut_off), END - 27) == cut_off
    assert storing_try(taken(1, cut_off), END - 20) is None


@pytest.mark.parametrize(("status", "code"), [(503, "unavailable"), (409, "conflict")])
def test_a_try_that_was_told_to_come_back_stored_nothing(status: int, code: str) -> None:
    sent_back, cut_off = Try(END - 30, END - 25, status, code, 5), Try(END - 28, END - 26, 0)
    assert storing_try(taken(1, sent_back), END - 27) is None
    assert storing_try(taken(1, sent_back, cut_off), END - 27) == cut_off


async def test_a_rush_that_a_server_only_sends_back_ends_and_leaves_no_connection_open() -> None:
    open_now: set[asyncio.StreamWriter] = set()

    async def too_many(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_now.add(writer)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if b"Idempotency-Key: key-1\r\n" in head:
                writer.write(b'HTTP/1.1 503 Busy\r\nretry-after: 0\r\n\r\n{"code": "unavailable"}')
                writer.close()
            while await reader.read(65536):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # it was given up before its first word
        finally:
            writer.close()
            open_now.remove(writer)

    server = await asyncio.start_server(too_many, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    now = time.time() + 0.3
    with pytest.raises(RuntimeError, match=r"2 were neither taken nor refused 0\.5 s"):
        await rush(Plan([url], "/", {1: now, 2: now}, longest_s=0.5))
    async with asyncio.timeout(10):
        while open_now:
            await asyncio.sleep(0.01)
    server.close()
    await server.wait_closed()


def test_most_come_before_the_announced_end_and_some_after_the_grace() -> None:
    moments = arrivals(0, 5, 35, range(7, 1007))
    assert list(moments) == list(range(7, 1007))
    assert sum(at <= 5 for at in moments.values()) == 850
    assert sum(at > 35 for at in moments.values()) >= 50


def test_what_is_lost_or_repeated_or_out_of_its_order_is_named() -> None:
    assert list(violations_of_order([("a", 1), ("b", 1), ("a", 2), ("b", 2)], ["a", "b"], 2)) == []
    assert list(violations_of_order([("a", 2), ("a", 1)], ["a"], 2)) == ["event 1 of a had its effect after event 2"]
    assert list(violations_of_order([("a", 1)], ["a"], 2)) == ["event 2 of a had its effect 0 times"]
    assert list(violations_of_order([("a", 1), ("a", 1)], ["a"], 1)) == ["event 1 of a had its effect 2 times"]
