"""Owns what applicants do with a deposited application: withdraw, accept, decline; each once, then the same answer."""

from datetime import datetime

from services.intake.domain.answers import Answer, NotPossible, Taken, decide_answer, decide_withdrawal
from services.intake.domain.status import Fact, Kind
from services.intake.handlers.learn import refresh_laureates
from services.intake.store import applications, facts
from shared.db import Row, Transaction
from shared.events.intake import ApplicationWithdrawn, GrantAccepted, GrantDeclined
from shared.telemetry import Cause

ANSWERS = {Kind.ACCEPTED: GrantAccepted, Kind.DECLINED: GrantDeclined}


async def withdraw_application(
    tx: Transaction, application: Row, reason: str, now: datetime, cause: Cause
) -> Taken | NotPossible:
    """Withdraw an application, sealed outcome or not."""
    held = await _locked_facts(tx, application)
    decided = decide_withdrawal(held, reason, now)
    if isinstance(decided, Taken) and not decided.again:
        await _keep(tx, application, decided.fact)
        tx.outbox.record(ApplicationWithdrawn(**_subject(application), occurred_at=now, reason=reason), cause)
    return decided


async def answer_offer(
    tx: Transaction, application: Row, answer: Answer, now: datetime, cause: Cause
) -> Taken | NotPossible:
    """Accept or decline the grant that is offered. `now` is when the answer arrived."""
    held = await _locked_facts(tx, application)
    decided = decide_answer(held, answer, now)
    if isinstance(decided, Taken) and not decided.again:
        await _keep(tx, application, decided.fact)
        event = ANSWERS[answer](**_subject(application), occurred_at=now, grant_id=decided.fact.grant_id or "")
        tx.outbox.record(event, cause)
    return decided


async def _locked_facts(tx: Transaction, application: Row) -> list[Fact]:
    application_id = application["application_id"]
    await applications.lock_applications(tx, [application_id])
    return (await facts.facts_of(tx, [application_id]))[application_id]


async def _keep(tx: Transaction, application: Row, fact: Fact) -> None:
    await facts.insert_facts(tx, [(application["application_id"], fact)])
    await refresh_laureates(tx, [application["application_id"]])


def _subject(application: Row) -> dict[str, str | int]:
    return {name: application[name] for name in ("call_id", "call_version", "round_id", "application_id")}
