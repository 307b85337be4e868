"""Owns `releve tail`: what comes onto the topics, straight from Kafka, broken records too; it commits no offset."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from cli import watch
from deploy.local.system import System
from shared.events.topics import BY_NAME
from shared.history import Recorded, Unreadable, recorded_of
from shared.history.document import recorded_document, unreadable_document
from shared.history.reading import BEGINNING, END, IMPERSONAL_TOPICS, Start, follow_raw, read_raw
from shared.history.recorded import Erased, event_names, may_be_recorded, short_name
from shared.messaging.records import RawRecord

CLOCKS_APART = timedelta(minutes=1)
"""How much earlier than a business time to begin: an event is recorded a little after it happened."""
ENVELOPE = {"call_id", "call_version", "round_id", "occurred_at"}
"""Fields that nearly every event has: left out of a line, shown with --json."""


@dataclass(frozen=True)
class Look:
    """What is to be shown, and from where to where."""

    topics: tuple[str, ...]
    keys: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    text: str = ""
    since: datetime | None = None
    first_offset: int | None = None
    until: datetime | None = None
    last_offset: int | None = None
    to_the_end: bool = False
    from_the_end: bool = False

    def wants(self, raw: RawRecord) -> bool:
        """Whether a record is to be shown, by what can be told before it is read."""
        if self.keys and (raw.key or b"").decode("utf-8", "backslashreplace") not in self.keys:
            return False
        if self.last_offset is not None and raw.offset > self.last_offset:
            return False
        if self.types and short_name(_header(raw, "ce_type")).casefold() not in self.types:
            return False
        return not self.text or self.text.casefold() in _words(raw)

    def in_time(self, at: datetime | None) -> bool:
        """Whether a business time lies between; a broken record has none and is always shown."""
        if at is None:
            return True
        return (self.since is None or at >= self.since) and (self.until is None or at <= self.until)

    def start(self, system: System) -> Start:
        """Where to begin reading. A simulated clock's times are not the broker's: then from the beginning."""
        if self.first_offset is not None:
            return Start(offset=self.first_offset)
        if self.since is not None and system.clock_file is None:
            return Start(at=self.since - CLOCKS_APART)
        return END if self.from_the_end else BEGINNING


def _header(raw: RawRecord, name: str) -> str:
    return (dict(raw.headers).get(name) or b"").decode("utf-8", "backslashreplace")


def _words(raw: RawRecord) -> str:
    parts = [raw.key or b"", raw.value or b"", *(value or b"" for _, value in raw.headers)]
    return " ".join(part.decode("utf-8", "backslashreplace") for part in parts).casefold()


def tail(
    topic: Annotated[list[str] | None, typer.Option(help="Only these topics.")] = None,
    key: Annotated[list[str] | None, typer.Option(help="Only these keys: an application, round, call …")] = None,
    kind: Annotated[list[str] | None, typer.Option("--type", help="Only these events: GrantAwarded …")] = None,
    text: Annotated[str, typer.Option(help="Only what holds this text, in key, headers or content.")] = "",
    start: Annotated[str, typer.Option("--from", help="now, beginning, a business time, or an offset.")] = "now",
    until: Annotated[str, typer.Option(help="end (of what is there now), a business time, or an offset.")] = "",
    headers: Annotated[bool, typer.Option("--headers", help="Show every header.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One document a line.")] = False,
    state_dir: watch.StateDir = None,
) -> None:
    """Show events as they come, straight from Kafka, never contact data. Example: `releve tail --type GrantAwarded`.

    Others: `releve tail --from beginning --until end --topic review.scores`,
    `releve tail --from 2021-09-30T00:00:00Z --key 019…`. Ctrl-C ends it. Exit status: 0 all well, 1 no answer,
    2 wrong use.
    """
    look = look_of(topic or [], key or [], kind or [], text, start, until)
    system = watch.running_system(state_dir)
    watch.waited(_show(system, look, headers=headers, as_json=as_json))


def look_of(topics: list[str], keys: list[str], types: list[str], text: str, start: str, until: str) -> Look:
    """What the words of the command line ask for. Raises typer.BadParameter."""
    for name in topics:
        if name not in BY_NAME:
            raise typer.BadParameter(f"no topic is named {name}; there are {', '.join(IMPERSONAL_TOPICS)}")
        if BY_NAME[name].personal:
            raise typer.BadParameter(f"{name} holds personal data: operations do not read it")
    for each in types:
        if not may_be_recorded(each):
            raise typer.BadParameter(f"no event is named {each}; there are {', '.join(event_names())}")
    look = Look(
        topics=tuple(topics) or IMPERSONAL_TOPICS,
        keys=tuple(keys),
        types=tuple(short_name(each).casefold() for each in types),
        text=text,
        since=_time(start, "--from", ("now", "beginning")),
        first_offset=int(start) if start.isdecimal() else None,
        until=_time(until, "--until", ("", "end")),
        last_offset=int(until) if until.isdecimal() else None,
        to_the_end=until == "end" or until.isdecimal(),
        from_the_end=start == "now",
    )
    if _ends_before_it_begins(look):
        raise typer.BadParameter(f"--until {until} lies before --from {start}")
    return look


def _ends_before_it_begins(look: Look) -> bool:
    if look.since is not None and look.until is not None:
        return look.until < look.since
    return look.first_offset is not None and look.last_offset is not None and look.last_offset < look.first_offset


def _time(value: str, option: str, words: tuple[str, ...]) -> datetime | None:
    if value in words or value.isdecimal():
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        known = ", ".join(word for word in words if word)
        raise typer.BadParameter(f"{option}: {known}, an offset, or a time such as 2021-08-02T09:15:00Z") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


async def _show(system: System, look: Look, *, headers: bool, as_json: bool) -> None:
    begin = look.start(system)
    if look.to_the_end or (look.until is not None and look.until <= watch.now_of(system)):
        there = [raw async for raw in read_raw(system.kafka, look.topics, begin, look.wants)]
        there.sort(key=lambda each: (each.timestamp_ms, each.topic, each.offset))
        told = [_tell(raw, look, headers=headers, as_json=as_json) for raw in there]
        if not any(told):
            typer.echo("Nothing of that kind lies there.", err=True)
        return
    async for found in follow_raw(system.kafka, look.topics, begin, look.wants):
        if found is not None:
            _tell(found, look, headers=headers, as_json=as_json)
        elif look.until is not None and watch.now_of(system) > look.until:
            return


def _tell(raw: RawRecord, look: Look, *, headers: bool, as_json: bool) -> bool:
    """Print a record, unless its business time lies outside; whether it was printed."""
    read = recorded_of(raw)
    if not look.in_time(read.time if isinstance(read, Recorded) else None):
        return False
    said = [(name, None if value is None else value.decode("utf-8", "backslashreplace")) for name, value in raw.headers]
    if as_json:
        watch.print_json({**_document(read), **({"headers": dict(said)} if headers else {})}, indent=None)
        return True
    typer.echo(line_of(read))
    for name, value in said if headers else ():
        typer.echo(f"    {watch.paint(name, 'cyan')}: {value}")
    return True


def _document(read: Recorded | Unreadable | Erased) -> dict[str, Any]:
    if isinstance(read, Recorded):
        return recorded_document(read)
    if isinstance(read, Unreadable):
        return unreadable_document(read)
    return {"topic": read.topic, "partition": read.partition, "offset": read.offset, "key": read.key, "erased": True}


def line_of(read: Recorded | Unreadable | Erased) -> str:
    """One record on one line."""
    if isinstance(read, Unreadable):
        at = watch.when(read.recorded_at)
        return f"{at}  {watch.paint('BROKEN', 'red', bold=True)}  {read.key or '-'}  {read.place}  {read.reason}"
    if isinstance(read, Erased):
        return f"{watch.paint('ERASED', 'yellow')}  {read.key}  {read.topic}[{read.partition}]@{read.offset}"
    content = json.loads(read.event.model_dump_json(exclude=ENVELOPE | {read.event.key_field}))
    told = json.dumps(content, ensure_ascii=False, separators=(", ", ": "))
    name = watch.paint(f"{read.name:<22}", "green", bold=True)
    return f"{watch.when(read.time)}  {name}  {read.key}  {read.place} #{read.sequence}  {told}"
