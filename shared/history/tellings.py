"""Owns what must hold of what applicants were told: each outcome once, in time, and each receipt; it writes no letter.

Two signs unseal an outcome: OutcomeAnnounced, or an outcome decided after it (`sealed: false`; `docs/design.md` §7).
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.events.call import Call
from shared.events.funding import (
    ApplicationNotSelected,
    ApplicationWaitlisted,
    GrantAwarded,
    OutcomeAnnounced,
    RoundAnnounced,
)
from shared.events.intake import CallPublished
from shared.history.finding import Finding
from shared.history.fold import Application, fold
from shared.history.recorded import History, Recorded

OUTCOMES = {GrantAwarded: "awarded", ApplicationWaitlisted: "waitlisted", ApplicationNotSelected: "not_selected"}
OUTCOME_TEMPLATES = frozenset({*OUTCOMES.values(), "inadmissible"})
"""A letter of an outcome is written from the template of the same name."""
RECEIPT = "receipt"
CLOCKS_APART = timedelta(seconds=1)
"""How far the clocks of two machines may differ before an order of times means anything."""


@dataclass(frozen=True, slots=True)
class Telling:
    """A sign that an outcome may be told."""

    outcome: str
    recorded: Recorded


def tellings(application: Application) -> list[Telling]:
    """The signs that an application's outcomes may be told, in the order of its key."""
    found = []
    for recorded in application.events:
        fact = recorded.event
        if isinstance(fact, OutcomeAnnounced):
            found.append(Telling(fact.outcome, recorded))
        elif isinstance(fact, GrantAwarded | ApplicationWaitlisted | ApplicationNotSelected) and not fact.sealed:
            found.append(Telling(OUTCOMES[type(fact)], recorded))
    return found


def one_letter_per_outcome(history: History) -> Iterator[Finding]:
    """Each outcome that was told gave one letter by distinct Message-ID, sent or failed for good.

    Whoever withdrew may have been told less: a letter that was due then is no longer.
    """
    for application in fold(history).values():
        told = tellings(application)
        due = Counter(telling.outcome for telling in told)
        written = Counter(letter.template for letter in application.letters if letter.template in OUTCOME_TEMPLATES)
        for outcome in sorted(due.keys() | written.keys()):
            missing = due[outcome] - written[outcome]
            if missing < 0 or (missing > 0 and application.status != "withdrawn"):
                said = f"{due[outcome]} tellings of {outcome}, {written[outcome]} letters"
                since = max((t.recorded.recorded_at for t in told if t.outcome == outcome), default=None)
                awaited = since if missing > 0 else None
                yield Finding("one_letter_per_outcome", application.application_id, said, awaited)


def one_receipt_each(history: History) -> Iterator[Finding]:
    """Each submitted application has one receipt by distinct Message-ID, sent or failed for good."""
    for application in fold(history).values():
        receipts = sum(letter.template == RECEIPT for letter in application.letters)
        if application.submitted is not None and receipts != 1:
            since = max(recorded.recorded_at for recorded in application.events)
            said = f"{receipts} receipts"
            yield Finding("one_receipt_each", application.application_id, said, since if receipts == 0 else None)


def nothing_told_early(history: History) -> Iterator[Finding]:
    """No letter of an outcome before its telling, no telling before its round's announcement, none before its time."""
    calls = Calls(history)
    announced = {(fact.call_id, fact.round_id): recorded for recorded, fact in history.all(RoundAnnounced)}
    for key, recorded in announced.items():
        announce_at = calls.announce_at(*key, recorded.time)
        if announce_at is not None and recorded.time < announce_at:
            said = f"announced at {recorded.time:%Y-%m-%d %H:%M:%S} UTC, due at {announce_at:%Y-%m-%d %H:%M:%S} UTC"
            yield Finding("nothing_told_early", key[1], said)
    for application in fold(history).values():
        told = tellings(application)
        yield from _letters_early(application, told)
        for telling in told:
            yield from _telling_early(application, telling, calls, announced)


def _letters_early(application: Application, told: list[Telling]) -> Iterator[Finding]:
    for letter in application.letters:
        if letter.template not in OUTCOME_TEMPLATES or not letter.sent:
            continue
        first = min((t.recorded.time for t in told if t.outcome == letter.template), default=None)
        if first is None or letter.time + CLOCKS_APART < first:
            said = f"the letter {letter.template} left at {letter.time:%Y-%m-%d %H:%M:%S} UTC, before it might be told"
            yield Finding("nothing_told_early", application.application_id, said)


def _telling_early(
    application: Application, telling: Telling, calls: "Calls", announced: dict[tuple[str, str], Recorded]
) -> Iterator[Finding]:
    if application.submitted is None:
        return
    call_id, round_id = application.submitted.call_id, application.submitted.round_id
    if telling.outcome == "inadmissible" and calls.tells_inadmissible_at_once(call_id, telling.recorded.time):
        return
    at = announced.get((call_id, round_id))
    if at is None or telling.recorded.time + CLOCKS_APART < at.time:
        said = f"{telling.recorded.name} at {telling.recorded.place} before {round_id} was announced"
        due = telling.recorded.recorded_at if at is None else None
        yield Finding("nothing_told_early", application.application_id, said, due)


class Calls:
    """The published versions of every call, as they were in effect at a time."""

    def __init__(self, history: History) -> None:
        self._published = sorted(
            ((fact.call.id, recorded.time, fact.call) for recorded, fact in history.all(CallPublished)),
            key=lambda each: (each[1], each[2].version),
        )

    def at(self, call_id: str, time: datetime) -> Call | None:
        """The call as it was in effect; None if it was not published by then."""
        in_effect = [call for known, since, call in self._published if known == call_id and since <= time]
        return in_effect[-1] if in_effect else None

    def announce_at(self, call_id: str, round_id: str, time: datetime) -> datetime | None:
        """When a round might be announced: rolling calls at opening (`docs/design.md` §7, Tell)."""
        call = self.at(call_id, time)
        if call is None:
            return None
        found = next((each for each in call.rounds if each.id == round_id), None)
        if found is None:
            return None
        return found.opens_at if call.allocation == "rolling" else found.announce_at

    def tells_inadmissible_at_once(self, call_id: str, time: datetime) -> bool:
        """Whether inadmissibility needs no announcement."""
        call = self.at(call_id, time)
        return call is not None and (call.inadmissible_told == "at_once" or call.allocation == "rolling")
