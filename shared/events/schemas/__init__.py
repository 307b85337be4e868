"""Owns the golden JSON Schemas of the events: what has been written to the topics, kept so that it stays readable.

`<type>.json` is what this program writes. Records are kept for good, so what an earlier release wrote stays in
`past/<type>/`: a contract test fails when a reader no longer covers one of them. `python -m shared.events.schemas`
writes them.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shared.events import EVENT_TYPES
from shared.events.base import Event
from shared.events.topics import TOPICS

FOLDER = Path(__file__).resolve().parent


def declared_types() -> dict[str, type[Event]]:
    """The event types of the declared topics, by full name."""
    names = {name for topic in TOPICS for name in topic.events}
    return {full: kind for full, kind in sorted(EVENT_TYPES.items()) if kind.__name__ in names}


def written_schema(kind: type[Event]) -> dict[str, Any]:
    """What this program writes of an event."""
    return {"$id": f"/schemas/{kind.type_name()}.json", **kind.model_json_schema(mode="serialization")}


def read_schema(kind: type[Event]) -> dict[str, Any]:
    """What this program can read as that event."""
    return kind.model_json_schema(mode="validation")


def golden(folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """The committed schemas of what is written, by type."""
    return {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("releve.*.json"))}


def ever_written(folder: Path = FOLDER) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every schema that any release wrote: its type, where it stands, and it."""
    for full, schema in golden(folder).items():
        yield full, f"{full}.json", schema
    for path in sorted(folder.glob("past/*/*.json")):
        yield path.parent.name, str(path.relative_to(folder)), json.loads(path.read_text("utf-8"))


def write(folder: Path = FOLDER, *, released: bool = True) -> list[str]:
    """Write the schemas that changed; their types. What a release wrote is moved to `past/`, never lost."""
    known, changed = golden(folder), []
    for full, kind in declared_types().items():
        schema = written_schema(kind)
        if known.get(full) == schema:
            continue
        changed.append(full)
        if released and full in known:
            _keep(folder, full, known[full])
        (folder / f"{full}.json").write_text(text_of(schema), "utf-8")
    return changed


def _keep(folder: Path, full: str, schema: Mapping[str, Any]) -> None:
    past = folder / "past" / full
    past.mkdir(parents=True, exist_ok=True)
    (past / f"{len(list(past.glob('*.json'))) + 1:04}.json").write_text(text_of(schema), "utf-8")


def text_of(schema: Mapping[str, Any]) -> str:
    """A schema as it is kept."""
    return json.dumps(schema, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
