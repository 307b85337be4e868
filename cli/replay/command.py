"""Owns the words of `releve replay`: what it is given, how it ends."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import httpx
import stamina.instrumentation
import typer
from aiokafka.errors import KafkaError
from rich.console import Console

from cli.replay.document import Document, all_hold
from cli.replay.doors import Refused
from cli.replay.engine import CannotReplay, replay
from cli.replay.officers import Undecidable
from cli.replay.overrides import OverrideImpossible, override
from cli.replay.story import FolderBroken, Story, read_files
from cli.replay.view import progress, show
from cli.run import StateDir
from cli.tokens import NoToken
from cli.verify.evidence import NotReached
from deploy.local.status import NotIdle
from deploy.local.system import NoSystem, System

EXPECTED = (
    CannotReplay, FolderBroken, Undecidable, OverrideImpossible, Refused, NotIdle,
    NoSystem, NoToken, NotReached, KafkaError, httpx.HTTPError,
)  # fmt: skip
"""Failures whose own message is the whole answer."""

LOG_WIDTH = 250
"""Characters of a line where no terminal tells: a laureate, or a sentence, stays on one line for `grep`."""


def replay_folder(
    folder: Annotated[Path, typer.Argument(help="A data folder, such as data/innovation-2021.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Another value of the call (rubric.pass_mark=63), or marks.swap=d40,d84."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One document for machines.")] = False,
    state_dir: StateDir = None,
) -> None:
    """Replay a call through the public interfaces, at the simulated clock; 1 unless every invariant holds.

    Example: `releve replay data/innovation-2021 --set envelope_eur=1000000 --json`.
    """
    try:
        story = Story.of(override(read_files(folder), settings or []))
        document = play(System.current(state_dir), story)
    except (ExceptionGroup, *EXPECTED) as failure:
        _fail(failure)
    if as_json:
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        show(story.call.title.en, document, Console() if sys.stdout.isatty() else Console(width=LOG_WIDTH))
    if not all_hold(document):
        raise typer.Exit(1)


def play(system: System, story: Story) -> Document:
    """Replay one story with a progress bar; its final document. Raises what EXPECTED names, perhaps in a group."""
    stamina.instrumentation.set_on_retry_hooks([])  # A retry is patience, not news.
    scenes = len(story.acts) + sum(1 + (each.withdraws is not None) for each in story.dossiers)
    with progress(scenes) as watcher:
        return asyncio.run(replay(system, [story], watcher))[story.call.id]


def _fail(failure: BaseException) -> NoReturn:
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    if not isinstance(failure, EXPECTED):
        raise failure
    typer.echo(str(failure), err=True)
    raise typer.Exit(1)
