"""Two who act at the same time on the same euros, each pair a thousand times: one wins, no euro moves twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders_funding import CALL, Funding, a_funding
from tests.chaos import races
from tests.chaos.money import discrepancies
from tests.chaos.races import Raced
from tests.databases import Databases

RACES = 1000
CLOSE = RACES // 10
"""How often the one who wins less must have won, or it was no race."""


@pytest.fixture
async def funding(databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Funding:
    return await a_funding(databases, tmp_path, monkeypatch)


def assert_close(raced: Raced, *winners: str) -> None:
    assert set(raced.won) == set(winners)
    assert raced.won.total() == RACES
    assert min(raced.won.values()) >= CLOSE, raced.won


async def test_a_withdrawal_against_the_decision_leaves_no_money_with_who_withdrew(funding: Funding) -> None:
    raced = await races.withdrawal_against_decision(funding, RACES)
    assert_close(raced, "decided", "proposal_stale")
    assert raced.ends == {
        (1, ("withdrawn", "awarded")): raced.won["decided"],
        (0, ("none", "none")): raced.won["proposal_stale"],
    }
    assert await discrepancies(funding) == []


async def test_a_release_that_promotes_against_a_decision_spends_no_euro_twice(funding: Funding) -> None:
    raced = await races.release_against_decision(funding, RACES)
    assert_close(raced, "decided", "proposal_stale")
    assert raced.ends == {
        (2, ("declined", "waitlisted", "awarded")): raced.won["decided"],
        (1, ("declined", "awarded", "none")): raced.won["proposal_stale"],
    }
    assert await discrepancies(funding) == []


async def test_an_acceptance_against_the_lapse_has_one_winner(funding: Funding) -> None:
    raced = await races.acceptance_against_lapse(funding, RACES)
    assert_close(raced, "accepted", "lapsed")
    for _, outcomes in raced.ends:
        offered, waiting = outcomes[: races.OFFERS], outcomes[races.OFFERS :]
        lapsed = offered.count("lapsed")
        assert lapsed + offered.count("accepted") == races.OFFERS
        assert waiting == ("awarded",) * lapsed + ("waitlisted",) * (races.OFFERS - lapsed)
    late = await funding.value("SELECT count(*) FROM flag WHERE kind = 'answer_not_counted'")
    released = [e.grant_id for e in await funding.events("GrantReleased") if e.call_id != CALL]
    assert late == raced.won["lapsed"] == len(released) == len(set(released))
    assert await discrepancies(funding) == []
