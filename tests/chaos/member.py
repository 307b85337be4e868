"""A member of a consumer group that stays inside a batch until it is told to go on; as a process, to be frozen."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from shared.db import Database, Transaction
from shared.events import Event
from shared.messaging.broker import Subscriber
from shared.messaging.consume import Consumer
from shared.messaging.records import Delivery
from shared.tasks import end_tasks
from tests.messaging_bench import Recorder, settings
from tests.processes import ROOT
from tests.waiting import until


@dataclass
class Inside(Recorder):
    """Writes the effects of a batch of this test, and commits only when it may."""

    entered: Callable[[], None] = lambda: None
    may_go_on: Callable[[], bool] = lambda: True

    async def handle(self, deliveries: Sequence[Delivery[Event]], tx: Transaction, now: datetime) -> None:
        await super().handle(deliveries, tx, now)
        if self.only_keys is not None and any(delivery.key in self.only_keys for delivery in deliveries):
            self.entered()
            await until(self.may_go_on)


@asynccontextmanager
async def member_of(group: str, recorder: Recorder, bootstrap: str) -> AsyncIterator[Consumer]:
    """A consumer of the group, for as long as the block lasts."""
    consumer = recorder.consumer()
    consumer.name = group
    task = asyncio.create_task(Subscriber([consumer], settings(kafka_bootstrap_servers=bootstrap), "funding").run())
    try:
        yield consumer
    finally:
        await end_tasks([task])


@dataclass(frozen=True)
class Told:
    """What a member that is a process is told: who it is, and the folder by which it and the test speak."""

    dsn: str
    bootstrap: str
    group: str
    keys: list[str]
    folder: str

    @property
    def entered(self) -> Path:
        return Path(self.folder) / "entered"

    @property
    def ended(self) -> Path:
        """There once its batch was written or found written."""
        return Path(self.folder) / "ended"

    @property
    def go_on(self) -> Path:
        return Path(self.folder) / "go-on"


async def main(told: Told) -> None:
    """Consume until the process is killed."""
    recorder = Inside(
        Database(told.dsn, "funding"), only_keys=frozenset(told.keys), echoes=False, entered=told.entered.touch,
        may_go_on=told.go_on.exists,
    )  # fmt: skip
    async with member_of(told.group, recorder, told.bootstrap) as consumer:
        await until(lambda: told.entered.exists() and consumer.progress.busy_since is None)
        told.ended.touch()
        await asyncio.Event().wait()


@asynccontextmanager
async def member_process(told: Told) -> AsyncIterator[asyncio.subprocess.Process]:
    """The same as a process of its own; killed at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.chaos.member", json.dumps(asdict(told)), cwd=ROOT,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


if __name__ == "__main__":
    asyncio.run(main(Told(**json.loads(sys.argv[1]))))
