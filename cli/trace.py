"""Owns `releve trace`: one application over every topic, straight from Kafka, so that it works with ops down."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from cli import watch
from shared.events.intake import ApplicationSubmitted
from shared.history import History, Recorded, recorded_of
from shared.history.document import trace_document
from shared.history.reading import IMPERSONAL_TOPICS, read_raw
from shared.history.trace import Step, Trace
from shared.history.trace import trace as trace_of
from shared.messaging.records import RawRecord


def trace(
    named: Annotated[str, typer.Argument(metavar="ID|REFERENCE", help="An application's id or its reference.")],
    as_json: Annotated[bool, typer.Option("--json", help="One document for machines.")] = False,
    state_dir: watch.StateDir = None,
) -> None:
    """Tell one application's story over every topic, causes first. Example: `releve trace INNO-2021-0042`.

    It ends with what the application waits for. Exit status: 0 all well, 1 no event is about it or no answer,
    2 wrong use.
    """
    if not named.strip():
        raise typer.BadParameter("name an application by its id or its reference, such as INNO-2021-0042")
    system = watch.running_system(state_dir)
    story = watch.waited(read_story(system.kafka, named, watch.now_of(system)))
    if story is None:
        watch.end(f"No event is about an application named {named}.")
    if as_json:
        watch.print_json(trace_document(story))
    else:
        typer.echo("\n".join(told(story)))


async def read_story(bootstrap: str, named: str, now: datetime) -> Trace | None:
    """Read only what concerns the application: first who it is, then the records of its keys. Raises KafkaError."""
    submitted = await _submitted(bootstrap, named)
    keys = {named.strip().lower()} if submitted is None else set(_keys(submitted))
    wanted = {key.encode() for key in keys}

    def concerns(raw: RawRecord) -> bool:
        return raw.key in wanted

    found = [recorded_of(raw) async for raw in read_raw(bootstrap, IMPERSONAL_TOPICS, wanted=concerns)]
    application_id = submitted.application_id if submitted else named.strip().lower()
    return trace_of(History.of(found), application_id, now)


def _keys(submitted: ApplicationSubmitted) -> tuple[str, str, str]:
    return submitted.application_id, submitted.round_id, submitted.call_id


async def _submitted(bootstrap: str, named: str) -> ApplicationSubmitted | None:
    wanted = named.strip().casefold()

    def may_be(raw: RawRecord) -> bool:
        # A look at the bytes spares reading every application as an event.
        return wanted.encode() in (raw.key or b"").lower() or wanted.encode() in (raw.value or b"").lower()

    async for raw in read_raw(bootstrap, [ApplicationSubmitted.topic], wanted=may_be):
        read = recorded_of(raw)
        if isinstance(read, Recorded) and isinstance(read.event, ApplicationSubmitted):
            event = read.event
            if wanted in {event.application_id, event.reference.casefold()}:
                return event
    return None


def told(story: Trace) -> list[str]:
    """The story for people."""
    application = story.application
    lines = [f"{watch.paint(story.reference, 'white', bold=True)}  {application.status}  {application.application_id}"]
    if application.submitted is not None:
        lines.append(f"{application.submitted.organisation.name}: {application.submitted.project.title}")
    lines += [_line(step) for step in story.steps]
    lines += [_gap_line(gap.sentence, person=gap.person) for gap in story.gaps]
    if not story.gaps:
        lines.append(watch.paint("Nothing is missing.", "green"))
    return lines


def _line(step: Step) -> str:
    recorded = step.recorded
    name = watch.paint(f"{recorded.name:<22}", "green", bold=True)
    return f"{watch.when(recorded.time)}  {step.spoken:>8}  {name}  {recorded.place} #{recorded.sequence}"


def _gap_line(sentence: str, *, person: bool) -> str:
    return watch.paint(f"! {sentence}", "yellow" if person else "red", bold=not person)
