"""Ops' index held against the topics: whatever they differ in is said, with its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from cli.verify import Evidence
from cli.verify.agreement import index_as_recorded
from shared.history import History, Recorded, Unreadable
from tests.builders_history import SUBMITTED_AT, Past

Row = Mapping[str, Any]
BROKEN = Unreadable("review.scores", 1, 7, "k", None, "value: no JSON", SUBMITTED_AT)


def row(of: Recorded | Unreadable, event_id: str | None = None) -> dict[str, Any]:
    readable = isinstance(of, Recorded)
    place = {"topic": of.topic, "partition": of.partition, "offset": of.offset}
    return {**place, "event_id": event_id or of.event_id or "", "readable": readable}


@pytest.fixture
def history() -> History:
    """One call, an application that was published twice, and a record that is no event."""
    past = Past()
    past.publish()
    past.submit()
    again = past.records[-1]
    return History.of([*past.records, replace(again, offset=100), BROKEN])


def whole(history: History) -> list[Row]:
    return [row(each) for each in (*history.events, *history.copies, *history.unreadable)]


def found(history: History, rows: list[Row]) -> list[str]:
    return [each.sentence for each in index_as_recorded(Evidence(history, {"ops": {"event": rows}}))]


def test_an_index_that_has_everything_once_agrees_copies_and_broken_records_too(history: History) -> None:
    assert len(history.copies) == len(history.unreadable) == 1
    assert found(history, whole(history)) == []


DIFFERS: Mapping[str, Callable[[list[Row]], list[Row]]] = {
    "one is missing": lambda rows: rows[1:],
    "one is there twice": lambda rows: [*rows, rows[0]],
    "one is another event": lambda rows: [{**rows[0], "event_id": "another"}, *rows[1:]],
    "one lies nowhere": lambda rows: [*rows, {**rows[0], "offset": 9_999}],
    "one is of a topic that ops may not read": lambda rows: [*rows, {**rows[0], "topic": "intake.contacts"}],
    "one that can be read stands as broken": lambda rows: [{**rows[0], "readable": False}, *rows[1:]],
    "a broken one is missing": lambda rows: rows[:-1],
}


@pytest.mark.parametrize("difference", DIFFERS)
def test_whatever_differs_is_said_once(history: History, difference: str) -> None:
    assert len(found(history, DIFFERS[difference](whole(history)))) == 1


def test_what_a_topic_may_have_forgotten_is_no_difference(history: History) -> None:
    assert found(history, [*whole(history), {**whole(history)[0], "topic": "ops.commands"}]) == []
