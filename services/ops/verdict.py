"""Owns how ops judges a running system: what is broken now, and what is only still on its way; it repairs nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from services.ops import past, store
from shared.db import Row, Transaction
from shared.history import INVARIANTS, Finding, findings

PATIENCE = timedelta(seconds=60)
"""How long, by the real clock, something may be missing before an invariant counts as broken."""

NO_CALL = ""
"""Before any call is published there may be dead letters and broken records all the same."""


@dataclass(frozen=True)
class Judged:
    """One call: what is broken, and what is awaited."""

    broken: tuple[Finding, ...]
    awaited: tuple[Finding, ...]


async def calls_to_judge(tx: Transaction, call_id: str | None) -> list[str]:
    """The calls that the index knows, or that one if it does."""
    known = await store.calls(tx)
    if call_id is None:
        return known or [NO_CALL]
    return [each for each in known if each == call_id]


def judge_call(rows: Sequence[Row], now: datetime) -> Judged:
    """Every violation in the rows of one call; missing things get some patience. `now` is the real clock."""
    found = findings(past.history_of(rows))
    awaited = [each for each in found if each.awaited_since is not None and now - each.awaited_since < PATIENCE]
    return Judged(tuple(each for each in found if each not in awaited), tuple(awaited))


def document(judged: Mapping[str, Judged]) -> dict[str, Any]:
    """The verdict on every call as plain values."""
    broken = {name: sorted(_of(each.broken)) for name, each in judged.items()}
    return {
        "invariants": {name: all(name not in each for each in broken.values()) for name in INVARIANTS},
        "calls": {
            call_id: {
                "invariants": {name: name not in broken[call_id] for name in INVARIANTS},
                "broken": [_finding(finding) for finding in each.broken],
                "awaited": [_finding(finding) for finding in each.awaited],
            }
            for call_id, each in judged.items()
        },
    }


def _of(found: Sequence[Finding]) -> set[str]:
    return {finding.invariant for finding in found}


def _finding(finding: Finding) -> dict[str, Any]:
    since = finding.awaited_since.isoformat() if finding.awaited_since else None
    return {
        "invariant": finding.invariant, "subject": finding.subject, "sentence": finding.sentence,
        "awaited_since": since,
    }  # fmt: skip
