"""Owns the words of `releve doctor`: where everything comes from and why, and whether what runs is well."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from cli.run import StateDir, fail
from deploy.local.choice import ChoiceImpossible, Way, choose
from deploy.local.examine import Finding, examine
from deploy.local.state import StateFolder
from deploy.local.system import NoSystem, System


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One document for machines.")] = False,
    state_dir: StateDir = None,
) -> None:
    """Tell where each need is met and why, and examine what runs. Example: `releve doctor`.

    Exit status: 0 all is well, or nothing runs, 1 something is not well, 2 wrong use.
    """
    try:
        choices = choose(os.environ)
    except ChoiceImpossible as failure:
        fail(failure)
    try:
        system = System.current(state_dir)
        findings, runs = asyncio.run(examine(system)), _what_runs(system)
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
        typer.echo("\n".join(_told(chosen, system, runs, findings)))
    if not all(finding.well for finding in findings):
        raise typer.Exit(1)


def _what_runs(system: System) -> str:
    if StateFolder.at(system.state_dir).description.exists():
        return f"A system runs ({system.provider}), its state in {system.state_dir}."
    if system.provider == Way.ENVIRONMENT:
        return (
            f"Nothing was started in {system.state_dir}, but the environment names a system. Its services are looked"
            " for at RELEVE_<SERVICE>_URL, else at this machine's default ports."
        )
    return "A system runs by `docker compose up`."


def _told(
    chosen: dict[str, dict[str, Any]], system: System | None, runs: str, findings: list[Finding]
) -> Iterator[str]:
    for need, choice in chosen.items():
        ran = system.chosen.get(need) if system else None
        if ran is None or ran["way"] == choice["chosen"]:
            yield f"{need} comes from: {choice['chosen']}"
        else:
            # Somebody asks from another shell than the one that started it.
            yield f"{need} comes from: {ran['way']} ({ran['why']}); a start from here would take: {choice['chosen']}"
        for number, way in enumerate(Way, 1):
            mark = "→" if way == choice["chosen"] else " "
            yield f"  {mark} {number}. {way:<12} {choice['found'][way]}"
    yield runs
    for one in findings:
        yield f"  {'well    ' if one.well else 'NOT WELL'}  {one.what}: {one.detail}"
