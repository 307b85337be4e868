"""Owns the checks that hold records against each other: answers, inboxes, remains, the ledger, the index, the mail."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from importlib import import_module

from cli.verify.evidence import Evidence
from shared.events.intake import ApplicationSubmitted
from shared.events.topics import BY_NAME
from shared.history import Finding, History, fold
from shared.history.dead_letters import dead_letters
from shared.history.ledger import movements, recompute
from shared.messaging.subscriptions import Subscriptions

CREATED, NO_ANSWER = 201, 0
BROKEN = "a record that is no event"
ENDED = ("sent", "refused_for_good", "erased")


def every_answer_has_its_event(evidence: Evidence) -> Iterator[Finding]:
    """Every 201 has its ApplicationSubmitted with the same reference; a key is one application, a refusal none."""
    name = "every_answer_has_its_event"
    recorded = {fact.application_id: fact for _, fact in evidence.history.all(ApplicationSubmitted)}
    ids: dict[str, set[str]] = defaultdict(set)
    may_be_taken: dict[tuple[str, str], set[str]] = defaultdict(set)
    for answer in evidence.answers:
        if answer.status in (CREATED, NO_ANSWER):
            may_be_taken[answer.call_id, answer.title].add(answer.key)
        if answer.status != CREATED or answer.application_id is None:
            continue
        ids[answer.key].add(answer.application_id)
        fact = recorded.get(answer.application_id)
        if fact is None:
            yield Finding(name, answer.application_id, f"was answered 201 ({answer.reference}); no event tells of it")
        elif fact.reference != answer.reference:
            yield Finding(name, answer.application_id, f"was told {answer.reference}, the event says {fact.reference}")
    several = {key: each for key, each in ids.items() if len(each) > 1}
    yield from (Finding(name, key, f"one key was answered {len(each)} ids") for key, each in several.items())
    known = {(answer.call_id, answer.title) for answer in evidence.answers}
    for place, count in Counter((fact.call_id, fact.project.title) for fact in recorded.values()).items():
        if place in known and count > len(may_be_taken[place]):
            said = f"{count} are recorded, {len(may_be_taken[place])} could have been taken"
            yield Finding(name, " ".join(place), said)


def every_effect_once(evidence: Evidence) -> Iterator[Finding]:
    """Each event of a handled type stands in its consumer's inbox, and nothing else of its topic does."""
    waiting = {(letter.consumer, letter.place) for letter in dead_letters(evidence.history.events) if letter.open}
    for service, tables in evidence.tables.items():
        taken: dict[str, set[str]] = defaultdict(set)
        for row in tables["inbox"]:
            taken[row["consumer"]].add(row["event_id"])
        for topic, due in _due(service, evidence.history).items():
            consumer = f"{service}.{topic}"
            missing = {event_id: place for event_id, place in due.items() if event_id not in taken[consumer]}
            for event_id, place in missing.items():
                if (consumer, place) not in waiting:
                    yield Finding("every_effect_once", consumer, f"{place} (event {event_id}) had no effect")
            for event_id in sorted(taken[consumer] - due.keys()):
                yield Finding("every_effect_once", consumer, f"event {event_id} had an effect and is on no topic")


def _due(service: str, history: History) -> dict[str, dict[str, str]]:
    """For each topic that can be read here: the events that the service handles, with their places."""
    subscribe: Subscriptions = import_module(f"services.{service}.consumers").subscribe
    due: dict[str, dict[str, str]] = {
        topic: {} for topic in subscribe.topics if not BY_NAME[topic].personal and BY_NAME[topic].retention_ms < 0
    }
    for recorded in history.events:
        if recorded.topic in due and subscribe.handles(type(recorded.event)):
            due[recorded.topic][recorded.event_id] = recorded.place
    return due


def nothing_left_behind(evidence: Evidence) -> Iterator[Finding]:
    """At rest nothing waits: no outbox row, no halted key, no parked record, no letter, no open transaction."""
    name = "nothing_left_behind"
    for service, tables in evidence.tables.items():
        for table in ("outbox", "halted_key", "parked_record", "idle"):
            if tables[table]:
                first = ", ".join(f"{column} {value}" for column, value in tables[table][0].items())
                yield Finding(name, service, f"{len(tables[table])} rows of {table}, such as {first}")
    for row in evidence.tables.get("notify", {}).get("delivery", ()):
        if row["state"] not in ENDED:
            yield Finding(name, row["id"] or "notify", f"its letter {row['template']} is {row['state']}")


def ledger_as_recorded(evidence: Evidence) -> Iterator[Finding]:
    """Funding's balance and its entries are those that `funding.grants` alone amounts to."""
    if "funding" not in evidence.tables:
        return
    tables, moved = evidence.tables["funding"], movements(evidence.history)
    entries = Counter(row["call_id"] for row in tables["ledger_entry"])
    for row in tables["balance"]:
        call_id, steps = row["call_id"], list(recompute(moved.get(row["call_id"], [])))
        told = steps[-1].balance if steps else None
        held = (row["last_entry"], row["envelope_eur"], row["reserved_eur"], row["committed_eur"])
        said = (told.entry, told.envelope_eur, told.reserved_eur, told.committed_eur) if told else (0, 0, 0, 0)
        if held != said:
            yield Finding("ledger_as_recorded", call_id, f"the balance is {held}, the topic amounts to {said}")
        if entries[call_id] != len(steps):
            yield Finding("ledger_as_recorded", call_id, f"{entries[call_id]} entries, {len(steps)} on the topic")
    for call_id in moved.keys() - {row["call_id"] for row in tables["balance"]}:
        yield Finding("ledger_as_recorded", call_id, "money moved on the topic, and there is no balance")


def index_as_recorded(evidence: Evidence) -> Iterator[Finding]:
    """Ops' index has each record of the topics that it reads once, copies and broken ones too, and nothing else."""
    if "ops" not in evidence.tables:
        return
    history, held = evidence.history, defaultdict[str, list[str]](list)
    for row in evidence.tables["ops"]["event"]:
        if not _forgets(row["topic"]):
            held[f"{row['topic']}[{row['partition']}]@{row['offset']}"].append(
                row["event_id"] if row["readable"] else BROKEN
            )
    lies = {each.place: each.event_id for each in (*history.events, *history.copies) if not _forgets(each.topic)}
    lies |= {each.place: BROKEN for each in history.unreadable if not _forgets(each.topic)}
    for place in sorted(held.keys() | lies.keys()):
        due = [lies[place]] if place in lies else []
        if held[place] != due:
            said = f"{' and '.join(held[place]) or 'nothing'} in the index, {''.join(due) or 'nothing'} on the topic"
            yield Finding("index_as_recorded", place, said)


def _forgets(topic: str) -> bool:
    """Whether a topic may have dropped what the index still has."""
    return topic in BY_NAME and BY_NAME[topic].retention_ms >= 0 and not BY_NAME[topic].personal


def letters_received_as_recorded(evidence: Evidence) -> Iterator[Finding]:
    """The mail server has the Message-IDs that are recorded as sent, and no other."""
    if evidence.received is None:
        return
    letters = [letter for each in fold(evidence.history).values() for letter in each.letters if letter.sent]
    sent = {letter.message_id for letter in letters}
    links = {
        row["message_id"] for row in evidence.tables.get("notify", {}).get("delivery", ()) if row["id"] is None
    }  # a sign-in link belongs to no application and is told on no topic
    for message_id in sorted(sent - evidence.received):
        yield Finding("letters_received_as_recorded", message_id, "is recorded as sent, and was never received")
    for message_id in sorted(evidence.received - sent - links):
        yield Finding("letters_received_as_recorded", message_id, "was received, and is not recorded as sent")
