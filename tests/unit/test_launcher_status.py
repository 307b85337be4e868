"""When a system is idle: two successive looks that leave no room for anything under way."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from deploy.local.reach import reachable
from deploy.local.state import StateFolder
from deploy.local.status import Sample, ServiceStatus, is_idle
from deploy.local.system import NoSystem, System

NOW = datetime(2021, 9, 30, 12, tzinfo=UTC)
PARTITION = TopicPartition("funding.grants", 3)
FUNDING = ServiceStatus("http://127.0.0.1:8003", now=NOW, next_timer=NOW + timedelta(days=40))
QUIET = Sample(services={"funding": FUNDING}, end_offsets={PARTITION: 7}, lag={}, clock=NOW)


def with_funding(**changes: object) -> Sample:
    return replace(QUIET, services={"funding": replace(FUNDING, **changes)})  # type: ignore[arg-type]


def test_two_equal_looks_with_nothing_left_are_idle() -> None:
    assert is_idle(QUIET, QUIET)
    assert QUIET.next_timer == NOW + timedelta(days=40)


@pytest.mark.parametrize(
    ("unfinished", "said"),
    [
        (with_funding(outbox_unsent=2), "funding has 2 events to send"),
        (with_funding(letters_unsent=1), "funding has 1 letter to send"),
        (with_funding(timers_due=True), "funding has a timer due"),
        (with_funding(problem="refused"), "funding does not answer: refused"),
        (with_funding(now=NOW - timedelta(seconds=1)), "funding has not seen the clock move"),
        (replace(QUIET, lag={"funding.review.scores": 4}), "funding.review.scores has 4 records to read"),
    ],
)
def test_whatever_is_left_is_said_and_keeps_a_system_from_being_idle(unfinished: Sample, said: str) -> None:
    assert unfinished.left_to_do == [said]
    assert not is_idle(unfinished, QUIET)
    assert not is_idle(QUIET, unfinished)


def test_an_event_published_between_two_looks_is_not_idle_though_both_look_quiet() -> None:
    assert not is_idle(QUIET, replace(QUIET, end_offsets={PARTITION: 8}))


def test_a_service_on_the_real_clock_is_not_measured_by_a_simulated_one() -> None:
    real = replace(with_funding(now=NOW - timedelta(days=1)), clock=None)
    assert is_idle(real, real)


def test_a_description_is_read_back_as_it_was_saved(tmp_path: Path) -> None:
    system = System(
        provider="local", kafka="127.0.0.1:1", services={"intake": "http://127.0.0.1:2"},
        databases={"intake": "postgresql://u:p@127.0.0.1:3/d"}, issuer="http://127.0.0.1:4", smtp="smtp://127.0.0.1:5",
        mail_folder=tmp_path / "mail", clock_file=None, state_dir=tmp_path,
        chosen={"kafka": {"way": "local", "why": "-"}},
    )  # fmt: skip
    system.save()
    assert System.saved(StateFolder.at(tmp_path)) == system
    assert (tmp_path / "system.json").stat().st_mode & 0o077 == 0
    with pytest.raises(NoSystem, match="releve down"):  # Nobody holds the folder: what is described is dead.
        System.current(tmp_path)


def test_a_name_under_localhost_is_reached_on_this_machine() -> None:
    assert reachable("http://127.0.0.1:9400") == "http://127.0.0.1:9400"
    assert reachable("http://releve-nobody.localhost:9400").endswith(":9400")
