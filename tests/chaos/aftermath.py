"""What is left of records that are no events: broken ones are dismissed as by an operator, future ones stay parked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from cli.replay.doors import Doors
from cli.verify import Evidence
from deploy.local.system import System
from shared.events.topics import BY_NAME
from shared.history import History
from shared.history.reading import read_raw
from shared.messaging.records import RawRecord
from tests.chaos.plan import Fault
from tests.messaging_bench import TOPIC
from tests.waiting import until

DUE_WITHIN_S = 90
READERS = [service for service in BY_NAME[TOPIC].readers if service != "ops"]


@dataclass(frozen=True)
class Aftermath:
    """The records that were published, whatever their publisher was told, by what they are."""

    broken: list[RawRecord]
    future: list[RawRecord]

    @classmethod
    async def of(cls, system: System, poisoned: Mapping[bytes, Fault]) -> Aftermath:
        """Find them by their keys."""
        if not poisoned:
            return cls([], [])
        lie = [each async for each in read_raw(system.kafka, [TOPIC], wanted=lambda raw: raw.key in poisoned)]
        of_kind = {kind: [r for r in lie if poisoned[r.key or b""].kind == kind] for kind in ("poison", "future")}
        return cls(of_kind["poison"], of_kind["future"])

    async def dismissed(self, doors: Doors) -> None:
        """Each broken record is seen in ops for every service that reads its topic, and let go. Raises TimeoutError."""
        due = {(record.place, service) for record in self.broken for service in READERS}

        async def all_ended() -> bool:
            letters = await _letters(doors) if due else {}
            for each in due & letters.keys():
                if letters[each]["open"]:
                    path = f"/api/v1/dead-letters/{letters[each]['id']}/dismiss"
                    await doors.staff("operator", "ops", "POST", path, {"reason": "published by chaos"})
            return all(each in letters and letters[each]["ended"] == "dismissed" for each in due)

        await until(all_ended, within_s=DUE_WITHIN_S)

    def set_apart(self, evidence: Evidence) -> tuple[Evidence, list[str]]:
        """The evidence without the parked records of a future program, and where one is not parked as it should be."""
        places = {(record.topic, record.partition, record.offset) for record in self.future}
        wrong, tables = [], dict(evidence.tables)
        for service in READERS:
            held = tables[service]
            parked = [row for row in held["parked_record"] if _place(row) not in places]
            halted = [row for row in held["halted_key"] if row["cause"] != "unknown_type"]
            if {len(held["parked_record"]) - len(parked), len(held["halted_key"]) - len(halted)} != {len(places)}:
                wrong.append(f"{service} did not park each of {len(places)} events of a future program under its key")
            tables[service] = {**held, "parked_record": parked, "halted_key": halted}
        indexed = [row for row in tables["ops"]["event"] if _place(row) not in places]
        tables["ops"] = {**tables["ops"], "event": indexed}
        past = evidence.history
        unreadable = tuple(r for r in past.unreadable if (r.topic, r.partition, r.offset) not in places)
        history = History(past.events, past.erased, unreadable, past.copies)
        return replace(evidence, history=history, tables=tables), wrong


def _place(row: Mapping[str, Any]) -> tuple[str, int, int]:
    return row["topic"], row["partition"], row["offset"]


async def _letters(doors: Doors) -> dict[tuple[str, str], dict[str, Any]]:
    """What ops shows as set aside, by place and service."""
    found, page = {}, "/api/v1/dead-letters?state=all"
    while page:
        shown = await doors.staff("operator", "ops", "GET", page)
        found |= {(each["place"], each["service"]): each for each in shown["items"]}
        page = shown["next"]
    return found
