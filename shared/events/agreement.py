"""Owns the rules between the parts of a call file, every broken one at once; the shape of each part is `call.py`'s.

It reads documents that may be wrong in any other way: what it cannot read it passes over, and the shape tells it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

Path = tuple[str | int, ...]

PARTS_WITH_IDS: tuple[Path, ...] = (
    ("kinds",), ("themes",), ("publics",), ("questions",), ("rounds",), ("admissibility",), ("rubric", "criteria"),
)  # fmt: skip
ROUND_ORDER = (("opens_at", "closes_at"), ("closes_at", "announce_at"), ("announce_at", "list_ends_at"))


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake of a call file: where it stands and what is wrong, in a sentence that quotes little."""

    path: Path
    message: str

    @property
    def field(self) -> str:
        """Where it stands, dotted: `rounds.1.closes_at`."""
        return ".".join(str(part) for part in self.path)


def disagreements(document: Mapping[str, Any]) -> list[Mistake]:
    """Where the parts of a call file contradict each other."""
    return [*_repeated_ids(document), *_rounds(document), *_money(document), *_tie_break(document)]


def _repeated_ids(document: Mapping[str, Any]) -> Iterator[Mistake]:
    for part in PARTS_WITH_IDS:
        seen: set[str] = set()
        for position, name in _ids(document, part):
            if name in seen:
                yield Mistake((*part, position, "id"), f"the id {name} stands twice")
            seen.add(name)


def _rounds(document: Mapping[str, Any]) -> Iterator[Mistake]:
    rounds = [each if isinstance(each, Mapping) else {} for each in _list(document.get("rounds"))]
    for position, each in enumerate(rounds):
        for earlier, later in ROUND_ORDER:
            first, second = _instant(each.get(earlier)), _instant(each.get(later))
            # Only taking applications needs time; the rest may fall on one instant.
            if first and second and (second < first or (second == first and earlier == "opens_at")):
                yield Mistake(("rounds", position, later), f"{later} is not after {earlier}")
    for position, (before, each) in enumerate(pairwise(rounds), start=1):
        closes, opens = _instant(before.get("closes_at")), _instant(each.get("opens_at"))
        if closes and opens and opens < closes:
            yield Mistake(("rounds", position, "opens_at"), "the round opens before the one above it closes")


def _money(document: Mapping[str, Any]) -> Iterator[Mistake]:
    grant = document.get("grant")
    bounds = grant if isinstance(grant, Mapping) else {}
    least, most, envelope = _int(bounds.get("min_eur")), _int(bounds.get("max_eur")), _int(document.get("envelope_eur"))
    if least is not None and most is not None and least > most:
        yield Mistake(("grant", "min_eur"), "min_eur is above max_eur")
    if most is not None and envelope is not None and most > envelope:
        yield Mistake(("grant", "max_eur"), "max_eur is above envelope_eur")


def _tie_break(document: Mapping[str, Any]) -> Iterator[Mistake]:
    criteria = {name for _, name in _ids(document, ("rubric", "criteria"))}
    for position, name in enumerate(_list(document.get("tie_break"))):
        if isinstance(name, str) and name not in criteria:
            yield Mistake(("tie_break", position), f"no criterion is named {name[:64]}")


def _ids(document: Mapping[str, Any], part: Path) -> Iterator[tuple[int, str]]:
    found: Any = document
    for name in part:
        found = found.get(name) if isinstance(found, Mapping) else None
    for position, each in enumerate(_list(found)):
        if isinstance(each, Mapping) and isinstance(each.get("id"), str):
            yield position, each["id"][:64]


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _int(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _instant(value: Any) -> datetime | None:
    try:
        instant = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return None
    return instant if isinstance(instant, datetime) and instant.tzinfo else None
