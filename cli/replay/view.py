"""Owns what a person sees of a replay: progress on the error stream while it runs, the result in words after it."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.table import Table
from rich.text import Text

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


TO_THE_END = "deadlines and letters follow"
CHECKING = "all that is kept is compared"
LINE_EVERY_S = 5.0
"""How long a reader of plain lines is left without one while the replay goes on."""


@contextmanager
def progress(scenes: int) -> Iterator[Watcher]:
    """Progress on the error stream, a bar at a terminal and plain lines elsewhere; yields what moves it."""
    console = Console(stderr=True)
    if sys.stderr.isatty() and not console.is_dumb_terminal:
        with _bar(scenes, console) as (watcher, course):
            yield watcher
        if not course.moved:
            console.print(course.ending)
    else:
        lines = Lines(Course(scenes), lambda line: print(line, file=sys.stderr, flush=True))
        yield Watcher(lines.scene, lines.instant, lines.checks)
        lines.end()


@dataclass
class Course:
    """How far a replay of so many scenes has come, in words."""

    scenes: int
    done: int = 0
    doing: str = "the replay begins"
    at: datetime | None = None
    moved: bool = False
    """Whether the clock went on; where it stands, every act lies before it and is repeated."""
    began_s: float = field(default_factory=time.monotonic)

    def scene(self, played: Scene) -> None:
        """One more act begins."""
        self.done, self.doing, self.at = self.done + 1, DOING[played.name], played.at

    def instant(self, now: datetime) -> None:
        """The clock reached an instant, perhaps without an act: a timer's."""
        self.moved, self.at = True, now
        if self.done >= self.scenes:
            self.doing = TO_THE_END

    def checks(self) -> None:
        """Everything was played, and is now looked at."""
        self.doing = CHECKING

    @property
    def day(self) -> str:
        """The simulated instant, UTC."""
        return f"{self.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if self.at else ""

    @property
    def ending(self) -> str:
        """What has been done once all is over."""
        acts, took = counted(self.done, "act"), f"in {time.monotonic() - self.began_s:.0f} s"
        if self.moved:
            return f"{acts} played {took}"
        return f"{acts} repeated {took}: all lie before this system's clock, so nothing new came of them"


class _Elapsed(ProgressColumn):
    """Rich's own column stands still once the last act has begun, though much follows it."""

    def render(self, task: Task) -> Text:
        return Text(str(timedelta(seconds=int(task.elapsed or 0))), style="progress.elapsed")


@contextmanager
def _bar(scenes: int, console: Console) -> Iterator[tuple[Watcher, Course]]:
    columns = (
        SpinnerColumn(), TextColumn("{task.fields[day]}"), BarColumn(), MofNCompleteColumn(),
        _Elapsed(), TextColumn("{task.description}"),
    )  # fmt: skip
    course = Course(scenes)
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(course.doing, total=scenes, day="")

        def show_it() -> None:
            bar.update(task, completed=course.done, description=course.doing, day=course.day)

        def scene(played: Scene) -> None:
            course.scene(played)
            show_it()

        def instant(now: datetime) -> None:
            course.instant(now)
            show_it()

        def checks() -> None:
            course.checks()
            show_it()

        yield Watcher(scene, instant, checks), course


@dataclass
class Lines:
    """Progress for a log: a line for each phase that begins, and now and then one within a long phase."""

    course: Course
    say: Callable[[str], None]
    every_s: float = LINE_EVERY_S
    _said: str = ""
    _said_s: float = -math.inf

    def scene(self, played: Scene) -> None:
        """One more act begins."""
        self.course.scene(played)
        self._tell()

    def instant(self, now: datetime) -> None:
        """The clock reached an instant."""
        self.course.instant(now)
        self._tell()

    def checks(self) -> None:
        """Everything was played."""
        self.course.checks()
        self._tell()

    def end(self) -> None:
        """All is over."""
        self.say(self.course.ending)

    def _tell(self) -> None:
        course, now_s = self.course, time.monotonic()
        if course.doing != self._said or now_s - self._said_s >= self.every_s:
            self._said, self._said_s = course.doing, now_s
            self.say(f"{course.day}  {course.done:>4} of {course.scenes}  {course.doing}")


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
    """Whole euros as English pages and letters write them: `€35,000`."""
    return f"€{amount_eur:,}"


def _laureates(document: Document) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("Reference", "Laureate", "Project"):
        table.add_column(heading, overflow="fold")
    table.add_column("Grant", justify="right", no_wrap=True)
    for each in document["laureate_list"]:
        # Names come from applicants: a bracket in one is no markup.
        table.add_row(each["reference"], escape(each["organisation"]), escape(each["title"]), euros(each["amount_eur"]))
    return table
