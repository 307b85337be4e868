"""Owns the words of `releve replay`: what it is given, how it ends."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
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
from cli.replay.mistakes import FilesBroken, FolderBroken, NoFolder
from cli.replay.officers import Undecidable
from cli.replay.overrides import OverrideImpossible, override
from cli.replay.story import Story, read_files
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
    beside: Annotated[
        bool, typer.Option("--beside", help="Begin even if deadlines of other calls on the system pass before.")
    ] = False,
    state_dir: StateDir = None,
) -> None:
    """Replay a call through the public interfaces, at the simulated clock. Example: `releve replay data/short-money`.

    With another value: `releve replay data/innovation-2021 --set envelope_eur=1000000 --json`.

    Exit status: 0 every invariant holds, 1 one does not, the folder has mistakes, or no answer, 2 wrong use.
    """
    try:
        story = read_story(folder, settings or [])
        document = play(System.current(state_dir), story, beside=beside)
    except (ExceptionGroup, *EXPECTED) as failure:
        _fail(failure)
    if as_json:
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        show(story.call.title.en, document, Console() if sys.stdout.isatty() else Console(width=LOG_WIDTH))
    if not all_hold(document):
        raise typer.Exit(1)


def read_story(folder: Path, settings: Sequence[str]) -> Story:
    """The folder's story with its `--set`s; a mistake is told with its file and line.

    Raises FolderBroken, OverrideImpossible.
    """
    files = read_files(folder)
    changed = override(files, settings)
    try:
        return Story.of(changed)
    except FilesBroken as broken:
        raise FolderBroken(broken.told(folder, files, changed)) from None


def play(system: System, story: Story, *, beside: bool = False) -> Document:
    """Replay one story with a progress bar; its final document. Raises what EXPECTED names, perhaps in a group."""
    stamina.instrumentation.set_on_retry_hooks([])  # A retry is patience, not news.
    scenes = len(story.acts) + sum(1 + (each.withdraws is not None) for each in story.dossiers)
    with progress(scenes) as watcher:
        return asyncio.run(replay(system, [story], watcher, beside=beside))[story.call.id]


def _fail(failure: BaseException) -> NoReturn:
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    if not isinstance(failure, EXPECTED):
        raise failure
    typer.echo(str(failure), err=True)
    raise typer.Exit(2 if isinstance(failure, NoFolder | OverrideImpossible) else 1)
