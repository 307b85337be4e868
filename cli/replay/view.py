"""Owns what a person sees of a replay: progress on the error stream while it runs, the result in words after it."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from cli.replay.document import Document
from cli.replay.engine import Watcher
from cli.replay.script import Scene
from shared.counted import counted

DOING = {
    "publish": "the call is published", "reviewers": "the committee is set", "submit": "applicants submit",
    "withdraw": "an applicant withdraws", "check": "admissibility is checked", "refuse": "admissibility is checked",
    "declare": "reviewers declare interests", "waive": "the chair waives", "evaluate": "reviewers evaluate",
    "arbitrate": "the chair arbitrates", "decide": "the round is decided", "accept": "laureates accept",
    "decline": "an applicant declines", "sign": "conventions are signed", "start": "projects start",
    "complete": "a project ends",
}  # fmt: skip


LINE_EVERY_S = 5.0
"""How long a reader of plain lines is left without one while the replay goes on."""


@contextmanager
def progress(scenes: int) -> Iterator[Watcher]:
    """Progress on the error stream, a bar at a terminal and plain lines elsewhere; yields what moves it."""
    console = Console(stderr=True)
    if sys.stderr.isatty() and not console.is_dumb_terminal:
        with _bar(scenes, console) as watcher:
            yield watcher
    else:
        lines = Lines(scenes, lambda line: print(line, file=sys.stderr, flush=True))
        yield Watcher(lines.scene, lines.instant)
        lines.end()


@contextmanager
def _bar(scenes: int, console: Console) -> Iterator[Watcher]:
    columns = (
        SpinnerColumn(), TextColumn("{task.fields[day]}"), BarColumn(), MofNCompleteColumn(),
        TimeElapsedColumn(), TextColumn("{task.description}"),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=scenes, day="")

        def scene(played: Scene) -> None:
            bar.update(task, advance=1, description=DOING[played.name])

        def instant(now: datetime) -> None:
            bar.update(task, day=f"{now:%Y-%m-%d %H:%M}")

        yield Watcher(scene, instant)


@dataclass
class Lines:
    """Progress for a log: a line for each phase that begins, and now and then one within a long phase."""

    scenes: int
    say: Callable[[str], None]
    every_s: float = LINE_EVERY_S
    _done: int = 0
    _phase: str = "the replay begins"
    _began_s: float = field(default_factory=time.monotonic)
    _said_s: float = -math.inf

    def scene(self, played: Scene) -> None:
        """One more act begins."""
        self._done += 1
        begins = DOING[played.name] != self._phase
        self._phase = DOING[played.name]
        self._tell(played.at, self._phase, at_once=begins)

    def instant(self, now: datetime) -> None:
        """The clock reached an instant, perhaps without an act: a timer's."""
        self._tell(now, self._phase if self._done < self.scenes else "every act is played", at_once=False)

    def end(self) -> None:
        """Everything was played."""
        self.say(f"{counted(self._done, 'act')} played in {time.monotonic() - self._began_s:.0f} s")

    def _tell(self, at: datetime, doing: str, *, at_once: bool) -> None:
        if at_once or time.monotonic() - self._said_s >= self.every_s:
            self._said_s = time.monotonic()
            self.say(f"{at.astimezone(UTC):%Y-%m-%d %H:%M}  {self._done:>4} of {self.scenes}  {doing}")


def show(title: str, document: Document, console: Console) -> None:
    """The result in words."""
    console.print(f"[bold]{escape(title)}[/bold]")
    console.print(_laureates(document))
    console.print(f"{counted(document['submitted'], 'application')}: {', '.join(standings(document))}.")
    console.print(f"Scores were given to {document['scored']} of them, whatever came of them afterwards.")
    console.print(
        f"[bold]{counted(document['laureates'], 'laureate')}, {euros(document['awarded_eur'])} awarded[/bold] of the"
        f" envelope of {euros(document['envelope_eur'])}; {euros(document['remaining_eur'])} remain."
    )
    letters = ", ".join(f"{count} {template.replace('_', ' ')}" for template, count in document["letters"].items())
    console.print(f"{counted(sum(document['letters'].values()), 'letter')} sent: {letters}.")
    broken = [name for name, holds in document["invariants"].items() if not holds]
    if broken:
        console.print(f"[bold red]Broken: {', '.join(broken)}.[/bold red]")
    else:
        console.print(f"[green]All {len(document['invariants'])} invariants hold.[/green]")


def standings(document: Document) -> list[str]:
    """Where the applications stand now, in words: each counts once, so the numbers add up to all that were submitted.

    The document counts as `scored` all that ever were; here they stand where they came to.
    """
    places = {
        "not_selected": "not selected", "waitlisted": "on the waiting list",
        "inadmissible": "inadmissible", "withdrawn": "withdrawn",
    }  # fmt: skip
    told = [counted(document["laureates"], "laureate")]
    told += [f"{document[name]} {words}" for name, words in places.items()]
    others = document["submitted"] - document["laureates"] - sum(document[name] for name in places)
    if others:
        told.append(f"{counted(others, 'other')} (an offer declined, lapsed or revoked, or no decision yet)")
    return told


def euros(amount_eur: int) -> str:
    """Whole euros with narrow spaces between thousands."""
    return f"{amount_eur:,} €".replace(",", "\u202f")


def _laureates(document: Document) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("Reference", "Laureate", "Project"):
        table.add_column(heading, overflow="fold")
    table.add_column("Grant", justify="right", no_wrap=True)
    for each in document["laureate_list"]:
        # Names come from applicants: a bracket in one is no markup.
        table.add_row(
            each["reference"], escape(each["organisation"]), escape(each["title"]), euros(each["amount_eur"])
        )
    return table
