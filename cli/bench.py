"""Owns the words of `releve bench`; the benchmarks lie beside, in a checkout only."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

ROOT = Path(__file__).resolve().parents[1]
OF_THE_TESTS = "testcontainers"
"""Installed where tests are run, not where Relevé is."""


def bench(
    names: Annotated[list[str] | None, typer.Argument(help="Which benchmarks; all of the table by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    rounds: Annotated[int | None, typer.Option(help="How often each contender runs; fewer is rougher.", min=1)] = None,
) -> None:
    """Measure speed as ratios against limits and the plain way. Example: `releve bench submit --json`.

    Exit status: 0 each aim was met, 1 not, 2 wrong use.
    """
    if not (ROOT / "benchmarks").is_dir():
        typer.echo("The benchmarks come with a checkout of the project, not with an installation.", err=True)
        raise typer.Exit(2)
    if find_spec(OF_THE_TESTS) is None:
        typer.echo("The benchmarks need what the tests need: `make bench` brings it, and runs them.", err=True)
        raise typer.Exit(2)
    options = [*(["--json"] if as_json else []), *(["--rounds", str(rounds)] if rounds else [])]
    command = [sys.executable, "-m", "benchmarks", *(names or []), *options]
    raise typer.Exit(subprocess.run(command, cwd=ROOT, check=False).returncode)
