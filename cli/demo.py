"""Owns `releve demo`: a system of its own, the replay of the call of 2021 on it, and pages left open for a reader."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import httpx
import typer
from ruamel.yaml import YAML

from cli.replay import replay
from cli.run import EXPECTED, describe, fail, tell
from cli.tokens import NoToken, staff_token
from deploy.local import process, run
from deploy.local.docker import ROOT
from deploy.local.issuer import staff
from deploy.local.launcher import Options
from deploy.local.state import STATE_VARIABLE, AlreadyRunning, StateFolder, default_folder
from deploy.local.system import System

DATA = ROOT / "data" / "innovation-2021"
LOOK_EVERY_S = 1.0

Folder = Annotated[Path, typer.Argument(help="The data to replay.", exists=True, file_okay=False)]


def demo(folder: Folder = DATA) -> None:
    """Start a system, replay the first two cut-offs of 2021, end with their laureates. Example: `releve demo`.

    At a terminal the pages stay open until Ctrl-C; otherwise the system stops by itself. Exit status: 0 replayed and
    every invariant holds, 1 not, or interrupted, 2 wrong use.
    """
    for name in (signal.SIGTERM, signal.SIGHUP):
        if not process.is_ignored(name):
            signal.signal(name, _interrupt)
    state = StateFolder.at(default_folder() / "demo")
    status = 1
    try:
        system = _started(state)
        os.environ[STATE_VARIABLE] = str(state.path)
        stays = sys.stdin.isatty() and sys.stdout.isatty()
        tokens = {subject: staff_token(system.issuer, subject) for subject in staff()} if stays else {}
        # Before the replay: fourteen tokens fill two screens, and what comes last is what a reader acts on.
        typer.echo("".join(f"{line}\n" for line in told_tokens(tokens)), nl=False)
        status = _replayed(folder)
        if stays:
            _leave_open(system, folder, tokens["operator"])
    except KeyboardInterrupt:
        tell("interrupted")
    except (NoToken, httpx.HTTPError) as failure:
        tell(f"No token: {failure}")
    except (ExceptionGroup, *EXPECTED) as failure:
        fail(failure)
    finally:
        tell("stopping")
        if run.down(state, tell):
            tell("Stopped.")
    raise typer.Exit(status)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _started(state: StateFolder) -> System:
    try:
        return run.up_detached(state, Options(simulated=True), tell, outlive=False)
    except AlreadyRunning:
        return System.current(state.path)


def _replayed(folder: Path) -> int:
    """The replay's exit status."""
    try:
        replay(folder)
    except typer.Exit as end:
        return end.exit_code
    return 0


def told_tokens(tokens: Mapping[str, str]) -> list[str]:
    """Everybody's token, each on a line of its own to be copied."""
    if not tokens:
        return []
    lines = [f"  {subject}: {token}" for subject, token in tokens.items()]
    return ["Staff tokens (Authorization: Bearer …):", *lines, ""]


def told_places(system: System, call_id: str, operator_token: str) -> list[str]:
    """Where to look and what to do next: the last that is said, so it must fit a screen together with the result."""
    intake, folder = system.services["intake"], system.state_dir
    return [
        "",
        "The operator's token:",
        f"  {operator_token}",
        "The others stand above the laureates; `releve token NAME` prints one again.",
        "",
        "Open in a browser:",
        f"  {intake}/calls/{call_id}/laureates  who won",
        f"  {intake}/calls/{call_id}  the call",
        f"  {system.services['ops']}/  every event; it asks for the operator's token",
        "",
        f"In another terminal: export {STATE_VARIABLE}={folder}, then `releve trace`, `tail`, `lag`, `status` look in.",
        "Ctrl-C stops it.",
    ]


def _leave_open(system: System, folder: Path, operator_token: str) -> None:
    describe(system)
    call_id = YAML(typ="safe").load(folder / "call.yaml")["id"]
    typer.echo("\n".join(told_places(system, call_id, operator_token)))
    with contextlib.suppress(KeyboardInterrupt):
        while system.still_runs():
            time.sleep(LOOK_EVERY_S)
        tell("it was stopped elsewhere")
