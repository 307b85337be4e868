"""Owns the examination behind `releve doctor`: each need and each part of a running system, found well or not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx
from aiokafka.admin import AIOKafkaAdminClient
from alembic.script import ScriptDirectory

from deploy.local import kafka, postgres
from deploy.local.dependencies import discovers, mail_listens
from deploy.local.reach import reachable, shown
from deploy.local.system import System
from shared.clock import ClockFileBroken, read_clock
from shared.events.topics import TOPICS
from shared.migrate import configuration

_ANSWER_WITHIN_S = 5.0
_MIGRATE = "`releve up` does that, and so does `releve migrate` where the environment names the database"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `detail` says what was seen."""

    what: str
    well: bool
    detail: str


async def examine(system: System) -> list[Finding]:
    """Look at every part of a running system, all at once."""
    looks: list[Awaitable[Finding]] = [
        _look("kafka", system.kafka, lambda: kafka.answers(system.kafka)),
        _topics(system.kafka),
        *([_look("mail", shown(system.smtp), lambda: mail_listens(system.smtp))] if system.smtp else []),
        *([_clock(system.clock_file)] if system.clock_file else []),
        _look("identity", system.issuer, lambda: discovers(reachable(system.issuer))),
        *(_database(service, url) for service, url in system.databases.items()),
        *(_service(name, url) for name, url in system.services.items()),
    ]
    return list(await asyncio.gather(*looks))


async def _look(what: str, address: str, answers: Callable[[], Awaitable[bool]]) -> Finding:
    well = await answers()
    return Finding(what, well, f"{address} {'answers' if well else 'does not answer'}")


async def _clock(file: Path) -> Finding:
    try:
        return Finding("clock", well=True, detail=f"{file} holds {read_clock(file):%Y-%m-%d %H:%M} UTC")
    except ClockFileBroken as broken:
        return Finding("clock", well=False, detail=str(broken))
    except OSError as failure:
        return Finding("clock", well=False, detail=f"{file} cannot be read: {failure.strerror}")


async def _topics(bootstrap: str) -> Finding:
    if not await kafka.answers(bootstrap):
        return Finding("topics", well=False, detail="not seen: the broker does not answer")
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        present = set(await admin.list_topics())
        known = [topic for topic in TOPICS if topic.name in present]
        described = await admin.describe_topics([topic.name for topic in known]) if known else []
    finally:
        await admin.close()
    found = {entry["topic"]: len(entry["partitions"]) for entry in described}
    missing = [topic.name for topic in TOPICS if topic.name not in present]
    wrong = [f"{len(missing)} of {len(TOPICS)} are missing ({', '.join(missing)}): `releve topics create`"]
    wrong = (wrong if missing else []) + [
        f"{topic.name} has {found[topic.name]} partitions, declared are {topic.partitions}"
        for topic in known if found[topic.name] != topic.partitions
    ]  # fmt: skip
    return Finding("topics", not wrong, "; ".join(wrong) or f"all {len(TOPICS)} declared topics are there")


async def _database(service: str, url: str) -> Finding:
    what = f"database {service}"
    refused = await postgres.refusal(url, _ANSWER_WITHIN_S)
    if refused is not None:
        return Finding(what, well=False, detail=refused)
    connection = await asyncpg.connect(url, timeout=_ANSWER_WITHIN_S)
    try:
        applied = await connection.fetchval("SELECT string_agg(version_num, ', ') FROM alembic_version")
    except (asyncpg.UndefinedTableError, asyncpg.InsufficientPrivilegeError):
        return Finding(what, well=False, detail=f"is not migrated: {_MIGRATE}")
    finally:
        await connection.close()
    newest = await asyncio.to_thread(_newest_schema, service)
    well = applied == newest
    return Finding(what, well, f"schema {applied}" + ("" if well else f", the newest is {newest}: {_MIGRATE}"))


def _newest_schema(service: str) -> str:
    return ", ".join(ScriptDirectory.from_config(configuration(service, "")).get_heads())


async def _service(name: str, url: str) -> Finding:
    try:
        async with httpx.AsyncClient(timeout=_ANSWER_WITHIN_S, verify=url.startswith("https")) as client:
            answer = await client.get(f"{url}/readyz")
            missing = [] if answer.is_success else answer.json().get("missing", [answer.text])
    except (httpx.HTTPError, ValueError) as error:
        return Finding(name, well=False, detail=f"{url} does not answer: {error or type(error).__name__}")
    return Finding(name, not missing, f"{url} {'is ready' if not missing else 'lacks ' + '; '.join(missing)}")
