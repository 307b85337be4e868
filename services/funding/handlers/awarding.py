"""Owns the one way in which an application is awarded money: ledger, grant and `GrantAwarded` together, or nothing."""

from collections.abc import Iterable, Sequence

from services.funding.domain import deadlines
from services.funding.handlers.acting import Act, record_all
from services.funding.store import awards, ledger
from services.funding.store.awards import Pick
from services.funding.store.rounds import RoundRow
from shared.db import Transaction
from shared.events.call import Call
from shared.events.funding import GrantAwarded


async def award(tx: Transaction, call: Call, held: RoundRow, picks: Sequence[Pick], act: Act) -> None:
    """Reserve each pick's amount in order, keep its grant and say so. The caller holds the call's lock.

    Raises the database's check_violation where the envelope is short.
    """
    if not picks:
        return
    posting = ledger.Posting(call.id, "reserve", "reserved", act.who, act.why, act.at)
    first = await ledger.append(
        tx, posting, [ledger.Movement("available", p.amount_eur, p.application_id, p.grant_id) for p in picks]
    )
    # A rolling round was announced at its opening, so that only the award's own day counts.
    announce_at = held.announce_at if call.allocation == "ranked" and held.announce_at else act.at
    answer_by = deadlines.answer_by(announce_at, act.at, call.answer_within_days, call.zone)
    lapses_at = deadlines.lapses_at(answer_by, call.zone)
    await awards.add(tx, call.id, held.round_id, picks, act.at, answer_by, lapses_at)

    def events() -> Iterable[GrantAwarded]:
        for number, pick in enumerate(picks, start=first):
            yield GrantAwarded(
                occurred_at=act.at, call_id=call.id, call_version=call.version, round_id=held.round_id,
                application_id=pick.application_id, sealed=held.sealed, grant_id=pick.grant_id,
                amount_eur=pick.amount_eur, requested_eur=pick.requested_eur, rank=pick.rank, answer_by=answer_by,
                ledger_entry=number,
            )  # fmt: skip

    await record_all(tx, events(), act.cause)
