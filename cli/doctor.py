"""Owns the words of `releve doctor`: where everything comes from and why, and whether what runs is well."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Annotated, Any

import typer

from cli.run import StateDir, fail
from deploy.local.choice import ChoiceImpossible, Way, choose
from deploy.local.examine import Finding, examine
from deploy.local.system import NoSystem, System


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One document for machines.")] = False,
    state_dir: StateDir = None,
) -> None:
    """Tell where each need is met and why, and examine what runs; 1 if it is not well. Example: `releve doctor`."""
    try:
        choices = choose(os.environ)
    except ChoiceImpossible as failure:
        fail(failure)
    try:
        system = System.current(state_dir)
        findings = asyncio.run(examine(system))
        runs = f"A system runs ({system.provider}), its state in {system.state_dir}."
    except NoSystem as nothing:
        system, findings, runs = None, [], str(nothing)
    chosen = {
        str(need): {"chosen": str(choice.way), "why": choice.why, "found": {str(w): f for w, f in choice.found.items()}}
        for need, choice in choices.items()
    }
    if as_json:
        document = {
            "chosen": chosen,
            "running": {need: dict(how) for need, how in system.chosen.items()} if system else None,
            "findings": [{"what": one.what, "well": one.well, "detail": one.detail} for one in findings],
        }
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        typer.echo(_told(chosen, runs, findings))
    if not all(finding.well for finding in findings):
        raise typer.Exit(1)


def _told(chosen: dict[str, dict[str, Any]], runs: str, findings: list[Finding]) -> str:
    lines = []
    for need, choice in chosen.items():
        lines.append(f"{need} comes from: {choice['chosen']}")
        for number, way in enumerate(Way, 1):
            mark = "→" if way == choice["chosen"] else " "
            lines.append(f"  {mark} {number}. {way:<12} {choice['found'][way]}")
    lines.append(runs)
    lines += [f"  {'well    ' if one.well else 'NOT WELL'}  {one.what}: {one.detail}" for one in findings]
    return "\n".join(lines)
