"""Owns the words of `releve status`: what runs, what is left to do, how much memory it takes; it changes nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer
from aiokafka.errors import KafkaError

from cli.run import EXPECTED, StateDir, fail
from deploy.local.state import StateFolder
from deploy.local.status import Sample, StatusProbe, is_idle
from deploy.local.system import System
from shared.counted import counted

_MIB = 1024 * 1024


def status(
    as_json: Annotated[bool, typer.Option("--json", help="One document for machines.")] = False,
    state_dir: StateDir = None,
) -> None:
    """Tell what runs and what is left to do. Example: `releve status --json`.

    Exit status: 0 every part answers, 1 one does not, or no system runs, 2 wrong use.
    """
    try:
        system = System.current(state_dir)
        before, sample = asyncio.run(two_samples(system))
    except KafkaError as failure:
        typer.echo(f"Kafka does not answer: {failure}", err=True)
        raise typer.Exit(1) from None
    except EXPECTED as failure:
        fail(failure)
    document = document_of(system, sample, idle=is_idle(before, sample))
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False) if as_json else _told(system, sample, document))
    if any(service.problem for service in sample.services.values()):
        raise typer.Exit(1)


async def two_samples(system: System) -> tuple[Sample, Sample]:
    """Two successive looks: what it takes to know that a system is idle. Raises KafkaError, OSError."""
    async with StatusProbe(system) as probe:
        return await probe.sample(), await probe.sample()


def document_of(system: System, sample: Sample, *, idle: bool) -> dict[str, Any]:
    """The document of `releve status --json` (`docs/design.md` §5)."""
    processes = {entry.role.removeprefix("service:"): entry for entry in StateFolder.at(system.state_dir).processes()}
    alive = {role: process for role, entry in processes.items() if (process := entry.process()) is not None}
    return {
        "provider": system.provider,
        "kafka": system.kafka,
        "services": dict(system.services),
        "databases": dict(system.databases),
        "mail_dir": _text(system.mail_folder),
        "issuer": system.issuer,
        "clock": _text(system.clock_file),
        "now": sample.clock.isoformat() if sample.clock else None,
        "idle": idle,
        "next_timer": sample.next_timer.isoformat() if sample.next_timer else None,
        "left": sample.left_to_do,
        "lag": dict(sample.lag),
        "halted_keys": {name: one.halted_keys for name, one in sample.services.items() if one.halted_keys},
        "pids": {role: process.pid for role, process in alive.items()},
        "pss_mib": _held_by_each(alive),
    }


def _held_by_each(alive: Mapping[str, psutil.Process]) -> dict[str, float]:
    """The memory of each role by its name, with the processes it started itself, in MiB; without what can't be read.

    The launcher is the parent of all others: what has a role of its own is counted there.
    """
    roles = {process.pid: role for role, process in alive.items()}
    held: dict[str, float | None] = dict.fromkeys(alive, 0.0)
    parents = {each.pid: each.info["ppid"] for each in psutil.process_iter(["ppid"])}
    for pid in parents:
        role = _role_of(pid, roles, parents)
        if role is not None:
            held[role] = _sum(held[role], _pss_mib(pid))
    return {role: round(memory, 1) for role, memory in held.items() if memory}


def _role_of(pid: int, roles: Mapping[int, str], parents: Mapping[int, int]) -> str | None:
    """The role of a process: its own, or that of the nearest process above it that has one."""
    above: int | None = pid
    while above is not None and above not in roles:
        above = parents.get(above)
    return None if above is None else roles[above]


def _sum(held: float | None, more: float | None) -> float | None:
    return None if held is None or more is None else held + more


def _pss_mib(pid: int) -> float | None:
    """The proportional set size: shared pages counted once among those who share them. None where it cannot be read."""
    try:
        held: float = psutil.Process(pid).memory_full_info().pss
    except psutil.NoSuchProcess:  # it has ended meanwhile
        return 0.0
    except (psutil.Error, AttributeError):
        return None
    return held / _MIB


def _text(path: Path | None) -> str | None:
    return str(path) if path else None


def _told(system: System, sample: Sample, document: dict[str, Any]) -> str:
    memory = document["pss_mib"]
    services = [memory[name] for name in system.services if name in memory]
    lines = [f"{system.provider}: {'idle' if document['idle'] else 'at work'}; {_clock_line(document)}"]
    for name, one in sample.services.items():
        state = one.problem or f"{counted(one.outbox_unsent, 'event')} unsent, {counted(one.halted_keys, 'key')} halted"
        pid = f"process {document['pids'][name]}, {memory.get(name, '?')} MiB" if name in document["pids"] else ""
        lines.append(f"  {name:<8} {one.url}  {state}  {pid}".rstrip())
    lines += [f"  {line}" for line in sample.left_to_do]
    if services:
        lines.append(f"  the services hold {sum(services):.0f} MiB together (proportional set size)")
    return "\n".join(lines)


def _clock_line(document: dict[str, Any]) -> str:
    clock = f"simulated time {document['now']}" if document["now"] else "real time"
    return f"{clock}; next timer {document['next_timer'] or 'none'}"
