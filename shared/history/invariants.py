"""Owns what must hold of every history, checked from the topics alone; it repairs nothing (`docs/design.md` §8).

Each check yields a Finding for each violation, so that a red invariant says whom to look at.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise

from shared.events.base import ApplicationEvent
from shared.events.funding import (
    ApplicationNotSelected,
    ApplicationWaitlisted,
    ConventionSigned,
    GrantAwarded,
    GrantReleased,
    ProjectCompleted,
    ProjectStarted,
    RoundDecided,
)
from shared.events.intake import ApplicationSubmitted, RoundClosed
from shared.events.topics import BY_NAME, FOR_GOOD
from shared.history.dead_letters import dead_letters, dismissed_places
from shared.history.finding import Finding
from shared.history.fold import Application, fold
from shared.history.ledger import Movement, movements, recompute
from shared.history.recorded import History, Recorded
from shared.history.tellings import nothing_told_early, one_letter_per_outcome, one_receipt_each

__all__ = ["INVARIANTS", "Finding", "findings", "invariants"]

Check = Callable[[History], Iterator[Finding]]

FIRST_OUTCOME = (GrantAwarded, ApplicationWaitlisted, ApplicationNotSelected)


def invariants(history: History) -> dict[str, bool]:
    """Whether each invariant holds, by name."""
    broken = {finding.invariant for finding in findings(history)}
    return {name: name not in broken for name in INVARIANTS}


def findings(history: History) -> list[Finding]:
    """Every violation, in the order of the invariants."""
    return [finding for check in INVARIANTS.values() for finding in check(history)]


def sequences_complete(history: History) -> Iterator[Finding]:
    """`ce_sequence` is 1, 2, 3 … per topic and key, in the order of offsets, on topics that keep for good."""
    by_key: dict[tuple[str, str], list[Recorded]] = defaultdict(list)
    for recorded in history.events:
        topic = BY_NAME.get(recorded.topic)
        if topic is not None and topic.retention_ms == FOR_GOOD and topic.cleanup == "delete":
            by_key[recorded.topic, recorded.key].append(recorded)
    for (topic_name, key), events in by_key.items():
        expected = 1
        for recorded in sorted(events, key=lambda each: (each.partition, each.offset)):
            if recorded.sequence != expected:
                said = f"{recorded.place} says {recorded.sequence} where {expected} is due"
                yield Finding("sequences_complete", f"{topic_name} {key}", said)
            expected = max(expected, recorded.sequence) + 1


def rounds_count_their_applications(history: History) -> Iterator[Finding]:
    """Count and hash of each RoundClosed are those of the applications submitted in it."""
    members: dict[tuple[str, str], set[str]] = defaultdict(set)
    for _, submitted in history.all(ApplicationSubmitted):
        members[submitted.call_id, submitted.round_id].add(submitted.application_id)
    for recorded, closed in history.all(RoundClosed):
        ids = members[closed.call_id, closed.round_id]
        digest = hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()
        if len(ids) != closed.submitted:
            said = f"closed with {closed.submitted} applications, {len(ids)} are recorded"
            due = recorded.recorded_at if len(ids) < closed.submitted else None
            yield Finding("rounds_count_their_applications", closed.round_id, said, due)
        elif digest != closed.applications_sha256:
            yield Finding("rounds_count_their_applications", closed.round_id, "the hash is of other applications")


def applications_accounted_for(history: History) -> Iterator[Finding]:
    """Submitted = in review + decided + withdrawn + inadmissible, as a whole and by what RoundDecided counted."""
    name = "applications_accounted_for"
    times_submitted = Counter(fact.application_id for _, fact in history.all(ApplicationSubmitted))
    for application_id, times in times_submitted.items():
        if times > 1:
            yield Finding(name, application_id, f"was submitted {times} times")
    applications = fold(history)
    for each in applications.values():
        if each.submitted is None:
            first = each.events[0]
            said = f"{first.name} at {first.place} is about an application that was never submitted"
            yield Finding(name, each.application_id, said, first.recorded_at)
    for recorded, decided in history.all(RoundDecided):
        yield from _decided(name, recorded, decided, applications)


def _decided(
    name: str, recorded: Recorded, decided: RoundDecided, applications: dict[str, Application]
) -> Iterator[Finding]:
    members = [
        each
        for each in applications.values()
        if each.submitted is not None
        and (each.submitted.call_id, each.submitted.round_id) == (decided.call_id, decided.round_id)
    ]
    first = Counter(_first_outcome(each) for each in members)
    said = {GrantAwarded: decided.awarded, ApplicationWaitlisted: decided.waitlisted,
            ApplicationNotSelected: decided.not_selected}  # fmt: skip
    for outcome, count in said.items():
        if first[outcome] != count:
            sentence = f"the decision counts {count} {outcome.__name__}, {first[outcome]} are recorded"
            yield Finding(name, decided.round_id, sentence, recorded.recorded_at)
    for each in members:
        if _first_outcome(each) is None and each.status not in {"withdrawn", "inadmissible"}:
            sentence = f"is {each.status} though its round {decided.round_id} is decided"
            yield Finding(name, each.application_id, sentence, recorded.recorded_at)


def _first_outcome(application: Application) -> type | None:
    return next((type(r.event) for r in application.events if isinstance(r.event, FIRST_OUTCOME)), None)


def ledger_never_overdrawn(history: History) -> Iterator[Finding]:
    """At every `ledger_entry` the money held is at most the envelope, and no entry is missing or double."""
    name = "ledger_never_overdrawn"
    for call_id, moved in movements(history).items():
        yield from _entries_complete(name, call_id, moved)
        for step in recompute(moved):
            at = f"at entry {step.movement.entry} ({step.movement.recorded.name}, {step.movement.recorded.place})"
            if step.wrong is not None:
                yield Finding(name, call_id, f"{at}: it {step.wrong}")
            if step.balance.available_eur < 0:
                yield Finding(name, call_id, f"{at}: {-step.balance.available_eur} € over the envelope")
            if step.balance.reserved_eur < 0 or step.balance.committed_eur < 0:
                yield Finding(name, call_id, f"{at}: more was released than was held")


def _entries_complete(name: str, call_id: str, moved: list[Movement]) -> Iterator[Finding]:
    first = moved[0]
    if first.entry != 1:
        yield Finding(name, call_id, f"entry 1 is missing before {first.entry}", first.recorded.recorded_at)
    for earlier, later in pairwise(moved):
        if later.entry == earlier.entry:
            said = f"entry {later.entry} stands twice: {earlier.recorded.place} and {later.recorded.place}"
            yield Finding(name, call_id, said)
        elif later.entry != earlier.entry + 1:
            said = f"entry {earlier.entry + 1} is missing before {later.entry}"
            yield Finding(name, call_id, said, later.recorded.recorded_at)


def one_outcome_each(history: History) -> Iterator[Finding]:
    """Each application has at most one current outcome: what follows it is a step from it, never a second one."""
    for application in fold(history).values():
        state = "none"
        for recorded in application.events:
            step = STEPS.get(type(recorded.event)) if isinstance(recorded.event, ApplicationEvent) else None
            if step is None:
                continue
            before, after = step
            if state not in before:
                said = f"{recorded.name} at {recorded.place} while the outcome is {state}"
                yield Finding("one_outcome_each", application.application_id, said)
            state = after


STEPS: dict[type[ApplicationEvent], tuple[frozenset[str], str]] = {
    GrantAwarded: (frozenset({"none", "waitlisted"}), "awarded"),
    ApplicationWaitlisted: (frozenset({"none"}), "waitlisted"),
    ApplicationNotSelected: (frozenset({"none", "waitlisted"}), "not_selected"),
    ConventionSigned: (frozenset({"awarded"}), "committed"),
    ProjectStarted: (frozenset({"committed"}), "started"),
    ProjectCompleted: (frozenset({"started"}), "completed"),
    GrantReleased: (frozenset({"awarded", "committed", "started"}), "released"),
}
"""From which outcome each event of `funding.grants` may follow, and what it leads to (`docs/design.md` §7, States)."""


def nothing_dead_lettered(history: History) -> Iterator[Finding]:
    """No record is set aside without a later request to replay or dismiss it."""
    for letter in dead_letters(history.events):
        if letter.open:
            said = f"{letter.consumer} set it aside: {letter.reason}"
            yield Finding("nothing_dead_lettered", letter.place, said)


def records_readable(history: History) -> Iterator[Finding]:
    """Every record of the declared topics is an event of the declared language, or was looked at and dismissed."""
    dismissed = dismissed_places(history.events) if history.unreadable else set()
    for broken in history.unreadable:
        if (broken.topic, broken.partition, broken.offset) not in dismissed:
            yield Finding("records_readable", broken.place, broken.reason)


INVARIANTS: dict[str, Check] = {
    "sequences_complete": sequences_complete,
    "rounds_count_their_applications": rounds_count_their_applications,
    "applications_accounted_for": applications_accounted_for,
    "ledger_never_overdrawn": ledger_never_overdrawn,
    "one_outcome_each": one_outcome_each,
    "nothing_told_early": nothing_told_early,
    "one_letter_per_outcome": one_letter_per_outcome,
    "one_receipt_each": one_receipt_each,
    "nothing_dead_lettered": nothing_dead_lettered,
    "records_readable": records_readable,
}
"""Every invariant by the name that the replay's document and the operations page use."""
