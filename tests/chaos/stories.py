"""What is played while faults strike: the fiction with too little money, several calls at a time, year after year."""

from __future__ import annotations

import copy
from datetime import date, datetime
from pathlib import Path
from typing import Any

from cli.replay.overrides import override
from cli.replay.story import Story, read_files

FOLDER = Path(__file__).resolve().parents[2] / "data" / "short-money"
SIDE_BY_SIDE = 3
CROWD = "crowd"


def stories_of(year: int) -> list[Story]:
    """The calls of one year, 0 being the fiction's own: the same people and money, ids and dates of their own."""
    files = shifted(read_files(FOLDER), year)
    return [Story.of(override(files, [f"id=y{year}-call{number}"])) for number in range(1, SIDE_BY_SIDE + 1)]


def crowd_call(name: str = CROWD) -> dict[str, Any]:
    """A call that is open all the time."""
    call = copy.deepcopy(Story.of(override(read_files(FOLDER), [f"id={name}"])).call.model_dump(mode="json"))
    (only,) = call["rounds"]
    only |= {
        "opens_at": "2000-01-01T00:00:00Z", "closes_at": "2999-01-01T00:00:00Z", "announce_at": "2999-06-01T00:00:00Z",
        "list_ends_at": "2999-07-01T00:00:00Z",
    }  # fmt: skip
    call["project"]["ends_by"] = "2999-12-31"
    return call


def crowd_body() -> dict[str, Any]:
    """A submission that keeps that call's rules."""
    return Story.of(read_files(FOLDER)).dossiers[0].body


def shifted(value: Any, years: int) -> Any:
    """The same values with every date some years later; the fiction has no 29 February."""
    if isinstance(value, dict):
        return {name: shifted(each, years) for name, each in value.items()}
    if isinstance(value, list):
        return [shifted(each, years) for each in value]
    if isinstance(value, datetime | date):
        return value.replace(year=value.year + years)
    if isinstance(value, str):
        return _shifted_text(value, years)
    return value


def _shifted_text(text: str, years: int) -> str:
    try:
        return shifted(datetime.fromisoformat(text), years).isoformat() if len(text) >= len("2023-01-01") else text
    except ValueError:
        return text
