"""Owns what a person sees of a replay: a bar on the error stream while it runs, the result in words after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console
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


@contextmanager
def progress(scenes: int) -> Iterator[Watcher]:
    """A progress bar on the error stream; yields what moves it."""
    columns = (
        SpinnerColumn(), TextColumn("{task.fields[day]}"), BarColumn(), MofNCompleteColumn(),
        TimeElapsedColumn(), TextColumn("{task.description}"),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=scenes, day="")

        def scene(played: Scene) -> None:
            bar.update(task, advance=1, description=DOING[played.name])

        def instant(now: datetime) -> None:
            bar.update(task, day=f"{now:%Y-%m-%d %H:%M}")

        yield Watcher(scene, instant)


def show(title: str, document: Document, console: Console) -> None:
    """The result in words."""
    console.print(f"[bold]{title}[/bold]")
    console.print(
        f"{counted(document['submitted'], 'application')}: {document['inadmissible']} inadmissible,"
        f" {document['withdrawn']} withdrawn, {document['scored']} scored,"
        f" {document['waitlisted']} waiting, {document['not_selected']} not selected."
    )
    console.print(_laureates(document))
    console.print(
        f"[bold]{counted(document['laureates'], 'laureate')}, {euros(document['awarded_eur'])}[/bold] awarded of"
        f" {euros(document['envelope_eur'])}; {euros(document['remaining_eur'])} remain."
    )
    letters = ", ".join(f"{count} {template}" for template, count in document["letters"].items())
    console.print(f"{counted(sum(document['letters'].values()), 'letter')}: {letters}.")
    broken = [name for name, holds in document["invariants"].items() if not holds]
    if broken:
        console.print(f"[bold red]Broken: {', '.join(broken)}.[/bold red]")
    else:
        console.print(f"[green]All {len(document['invariants'])} invariants hold.[/green]")


def euros(amount_eur: int) -> str:
    """Whole euros with narrow spaces between thousands."""
    return f"{amount_eur:,} €".replace(",", "\u202f")


def _laureates(document: Document) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("Reference", "Laureate", "Project"):
        table.add_column(heading, overflow="fold")
    table.add_column("Grant", justify="right", no_wrap=True)
    for each in document["laureate_list"]:
        table.add_row(each["reference"], each["organisation"], each["title"], euros(each["amount_eur"]))
    return table
