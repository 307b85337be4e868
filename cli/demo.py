"""Owns `releve demo`: a system of its own, the replay of the call of 2021 on it, and pages left open for a reader."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from ruamel.yaml import YAML

from cli.replay import replay
from cli.run import EXPECTED, describe, fail, tell
from cli.tokens import staff_token
from deploy.local import process, run
from deploy.local.docker import ROOT
from deploy.local.issuer import staff
from deploy.local.launcher import Options
from deploy.local.state import STATE_VARIABLE, AlreadyRunning, StateFolder, default_folder
from deploy.local.system import System

DATA = ROOT / "data" / "innovation-2021"


def demo(folder: Annotated[Path, typer.Argument(help="The data to replay.")] = DATA) -> None:
    """Start a system, replay the first two cut-offs of 2021, end with their laureates. Example: `releve demo`.

    At a terminal the pages stay open until Ctrl-C; otherwise the system stops by itself.
    """
    for name in (signal.SIGTERM, signal.SIGHUP):
        if not process.is_ignored(name):
            signal.signal(name, _interrupt)
    state = StateFolder.at(default_folder() / "demo")
    status = 1
    try:
        system = _started(state)
        os.environ[STATE_VARIABLE] = str(state.path)
        status = _replayed(folder)
        if sys.stdin.isatty() and sys.stdout.isatty():
            _leave_open(system, folder)
    except KeyboardInterrupt:
        tell("interrupted")
    except (ExceptionGroup, *EXPECTED) as failure:
        fail(failure)
    finally:
        run.down(state, tell)
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


def _leave_open(system: System, folder: Path) -> None:
    describe(system)
    intake, call_id = system.services["intake"], YAML(typ="safe").load(folder / "call.yaml")["id"]
    typer.echo("\nOpen in a browser:")
    typer.echo(f"  {intake}/calls/{call_id}/laureates  who won")
    typer.echo(f"  {intake}/calls/{call_id}  the call")
    typer.echo(f"  {system.services['ops']}/  every event; it asks for the operator's token below")
    typer.echo("\nStaff tokens (Authorization: Bearer …):")
    for subject in staff():
        typer.echo(f"  {subject}: {staff_token(system.issuer, subject)}")
    typer.echo("\nCtrl-C stops it.")
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)
