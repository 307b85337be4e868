"""Owns what the watching commands share: the running system, colours, times and endings; it reads no topic itself."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeVar

import typer
from aiokafka.errors import KafkaError

from cli.run import StateDir, fail
from deploy.local.system import NoSystem, System
from shared.clock import read_clock

__all__ = ["StateDir", "end", "now_of", "paint", "print_json", "running_system", "waited", "when"]

T = TypeVar("T")


def running_system(state_dir: Any = None) -> System:
    """The system to look at; ends with 1 where none runs."""
    try:
        return System.current(state_dir)
    except NoSystem as nothing:
        fail(nothing)


def now_of(system: System) -> datetime:
    """The system's business time: its clock file's, else now."""
    return read_clock(system.clock_file) if system.clock_file else datetime.now(UTC)


def waited(work: Coroutine[Any, Any, T]) -> T:
    """Run something that asks Kafka; ends with 1 where it does not answer, with 0 when somebody stopped looking."""
    try:
        return asyncio.run(work)
    except (KafkaError, TimeoutError) as failure:
        end(f"Kafka does not answer: {failure or type(failure).__name__}")
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
    except BrokenPipeError:
        # Whoever read us, such as `head`, has enough; Python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None


def end(sentence: str, code: int = 1) -> NoReturn:
    """Say one sentence on stderr and end."""
    typer.echo(sentence, err=True)
    raise typer.Exit(code)


def paint(text: str, colour: str, *, bold: bool = False) -> str:
    """A coloured word on a terminal; plain where NO_COLOR is set (no-color.org) or nobody looks."""
    if os.environ.get("NO_COLOR") or not sys.stdout.isatty():
        return text
    return typer.style(text, fg=colour, bold=bold)


def when(at: datetime) -> str:
    """A time to the second, with its zone: `2021-09-30 21:59:07 UTC`."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def print_json(document: Any, *, indent: int | None = 2) -> None:
    """One document for machines."""
    typer.echo(json.dumps(document, indent=indent, ensure_ascii=False))
