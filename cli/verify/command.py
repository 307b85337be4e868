"""Owns the words of `releve verify`: everything that a system keeps, held side by side at rest."""

from __future__ import annotations

from typing import Annotated

import httpx
import typer

from cli import watch
from cli.verify.checks import verify
from cli.verify.evidence import NotReached, gather
from shared.history import Finding

SHOWN = 3
"""Findings of one check that are printed; --json gives all."""


def verify_system(
    as_json: Annotated[bool, typer.Option("--json", help="One document for machines.")] = False,
    state_dir: watch.StateDir = None,
) -> None:
    """Hold topics, databases and mail side by side, at rest. Example: `releve verify --json`.

    It says what does not agree, and about whom. Exit status: 0 everything agrees, 1 something does not, or no answer,
    2 wrong use.
    """
    system = watch.running_system(state_dir)
    try:
        found = verify(watch.waited(gather(system)))
    except NotReached as failure:
        watch.end(str(failure))
    except httpx.HTTPError as failure:
        watch.end(f"intake does not answer: {failure or type(failure).__name__}")
    if as_json:
        watch.print_json({name: [_document(each) for each in findings] for name, findings in found.items()})
    else:
        for line in table(found):
            typer.echo(line)
    if any(found.values()):
        raise typer.Exit(1)


def table(found: dict[str, list[Finding]]) -> list[str]:
    """A line for each check, and the first of what it found."""
    lines = []
    for name, findings in found.items():
        lines.append(f"{'BROKEN' if findings else 'holds ':7} {name}" + (f" ({len(findings)})" if findings else ""))
        lines += [f"          {each.subject}: {each.sentence}" for each in findings[:SHOWN]]
    return lines


def _document(finding: Finding) -> dict[str, str]:
    return {"subject": finding.subject, "sentence": finding.sentence}
