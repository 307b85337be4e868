"""What deciding a round costs in statements: as many for thirty applications as for six. No clock is asked."""

from pathlib import Path

import pytest

from services.funding.handlers import announcing, deciding, proposing
from services.funding.handlers.acting import PIECE, Refusal
from tests.bench import CAUSE
from tests.builders_funding import ANNOUNCES, DECIDES, R1, Funding, a_call, a_funding, closed, dossiers, published
from tests.counting import statements
from tests.databases import Databases


async def a_ready_round(funding: Funding, count: int) -> None:
    """A third is awarded, a third waits, a third is not selected."""
    call, members = a_call(envelope_eur=count // 3 * 30_000), dossiers(count)
    await funding.receive(published(call), *(each.submitted() for each in members), closed(members))
    await funding.receive(*(each.scored("50" if each.number % 3 == 0 else "70") for each in members))
    funding.at(DECIDES)


async def statements_of_a_round(funding: Funding, count: int) -> dict[str, list[str]]:
    """What is sent to rank, to decide and to announce a round of so many applications."""
    await a_ready_round(funding, count)
    sent = {}
    with statements(funding.db) as sent["rank"]:
        async with funding.db.transaction() as tx:
            held = await proposing.rounds.load_one(tx, R1)
            assert held is not None
            proposal = await proposing.make(tx, held, (), "chair", DECIDES)
    with statements(funding.db) as sent["decide"]:
        async with funding.db.transaction() as tx:
            confirmed = await deciding.confirm(tx, R1, proposal, "chair", DECIDES, CAUSE)
    assert not isinstance(confirmed, Refusal)
    third = count // 3
    made = confirmed.proposal
    assert (made.awarded, made.waitlisted, made.not_selected) == (third, third, third)
    with statements(funding.db) as sent["announce"]:
        async with funding.db.transaction() as tx:
            await announcing.announce_due(tx, ANNOUNCES, CAUSE)
    assert len(await funding.events("OutcomeAnnounced")) == count
    return sent


async def test_a_round_is_decided_by_as_many_statements_however_many_apply(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = await statements_of_a_round(await a_funding(databases, tmp_path, monkeypatch), 6)
    many = await statements_of_a_round(await a_funding(databases, tmp_path, monkeypatch), 30)
    assert few == many
    assert all(few.values())
    # Beyond that, events leave the memory in pieces.
    assert PIECE >= 1000


async def test_events_are_written_in_pieces_and_all_of_them(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.funding.handlers.acting.PIECE", 4)
    monkeypatch.setattr("services.funding.handlers.deciding.PIECE", 4)
    funding = await a_funding(databases, tmp_path, monkeypatch)
    sent = await statements_of_a_round(funding, 30)
    written = [statement for statement in sent["decide"] if "INSERT INTO outbox" in statement]
    # Ten awards, the last two with the first of twenty others, and the round itself.
    assert len(written) == 2 + 5 + 1
    assert len(await funding.events("GrantAwarded", "ApplicationWaitlisted", "ApplicationNotSelected")) == 30
