"""How a fault is done to a running system, and undone; which and when is the plan's."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import psutil
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from deploy.local.mail import ORDERS_VARIABLE
from deploy.local.ports import choose_ports
from deploy.local.process import Recorded
from deploy.local.state import StateFolder
from deploy.local.system import System
from shared.crashpoints import arm
from shared.events.topics import BY_NAME, SERVICES
from shared.history.reading import read_raw
from shared.ids import new_id
from tests.chaos.plan import Fault
from tests.chaos.poisons import FUTURE, POISON, whole
from tests.foreign import foreign_publisher
from tests.messaging_bench import TOPIC

ROOT = Path(__file__).resolve().parents[2]
ENDS_WITHIN_S = 20.0
"""What the design promises of SIGTERM, in every state."""
REPEATED = 40
CUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
"""


class Overdue(Exception):
    """A process that was asked to end did not do so in time."""


@dataclass
class Faults:
    """Does faults to one system. `done` counts them by kind; what it froze or started is let go by `undo`."""

    system: System
    crashes: Path
    done: dict[str, int] = field(default_factory=dict)
    overdue: list[str] = field(default_factory=list)
    poisoned: dict[bytes, Fault] = field(default_factory=dict)
    """Which record that is no event was published under which key."""
    _frozen: list[psutil.Process] = field(default_factory=list)
    _replicas: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def do(self, fault: Fault) -> None:
        """Do one fault for as long as it lasts."""
        acts = {
            "kill": self._kill, "terminate": self._terminate, "freeze": self._freeze, "crash": self._crash,
            "replica": self._replica, "cut": self._cut, "repeat": self._repeat,
            "refuse": self._refuse, "poison": self._poison, "future": self._poison,
        }  # fmt: skip
        await acts[fault.kind](fault)
        name = f"{fault.kind} {fault.target}"
        self.done[name] = self.done.get(name, 0) + 1

    async def undo(self) -> None:
        """Let everything go that a fault still holds; orders that nobody came to are withdrawn."""
        for process in self._frozen:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)
        for replica in self._replicas:
            await self._ended(replica)
        for order in self.crashes.iterdir():
            order.unlink(missing_ok=True)
        mail_orders(self.crashes).unlink(missing_ok=True)

    def _processes(self, target: str) -> list[psutil.Process]:
        role = f"service:{target}" if target in SERVICES else target
        entries: list[Recorded] = [e for e in StateFolder.at(self.system.state_dir).processes() if e.role == role]
        return [process for entry in entries if (process := entry.process()) is not None]

    async def _kill(self, fault: Fault) -> None:
        for process in self._processes(fault.target):
            process.send_signal(signal.SIGKILL)

    async def _terminate(self, fault: Fault) -> None:
        """Ask a service to end; the launcher starts it again. How long it takes is part of what is promised."""
        for process in self._processes(fault.target):
            process.send_signal(signal.SIGTERM)
            _, alive = await asyncio.to_thread(psutil.wait_procs, [process], ENDS_WITHIN_S)
            if alive:
                self.overdue.append(f"{fault.target} did not end within {ENDS_WITHIN_S:g} s of SIGTERM")

    async def _freeze(self, fault: Fault) -> None:
        processes = self._processes(fault.target)
        for process in processes:
            self._frozen.append(process)
            process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(fault.for_s)
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)
            self._frozen.remove(process)

    async def _crash(self, fault: Fault) -> None:
        arm(self.crashes, fault.target, fault.place, fault.arrival)  # type: ignore[arg-type]

    async def _replica(self, fault: Fault) -> None:
        """A second process of a service beside the first, for a while: two relays and two timers on one database."""
        processes = self._processes(fault.target)
        if not processes:
            return
        with suppress(psutil.NoSuchProcess):
            replica = await self._started(fault.target, processes[0].environ())
            await asyncio.sleep(fault.for_s)
            await self._ended(replica)

    async def _started(self, service: str, environment: Mapping[str, str]) -> asyncio.subprocess.Process:
        port = choose_ports({"replica": 0})["replica"]
        replica = await asyncio.create_subprocess_exec(
            sys.executable, "-m", f"services.{service}", cwd=ROOT,
            env={**environment, f"RELEVE_{service.upper()}_PORT": str(port)},
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        self._replicas.append(replica)
        return replica

    async def _ended(self, replica: asyncio.subprocess.Process) -> None:
        if replica.returncode is None:
            with suppress(ProcessLookupError):
                replica.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(ENDS_WITHIN_S):
                    await replica.wait()
            except TimeoutError:
                self.overdue.append(f"a replica did not end within {ENDS_WITHIN_S:g} s of SIGTERM")
                replica.kill()
                await replica.wait()
        if replica in self._replicas:
            self._replicas.remove(replica)

    async def _cut(self, fault: Fault) -> None:
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection = await asyncpg.connect(self.system.databases[fault.target], timeout=5)
            await connection.execute(CUT)
            await connection.close()

    async def _repeat(self, fault: Fault) -> None:
        """Publish events again as they lie, in another order across topics: at-least-once at its worst."""
        chance = random.Random(fault.at_s)
        with suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(10):
                kept = [name for name, topic in BY_NAME.items() if topic.cleanup == "delete" and not topic.personal]
                events = [each async for each in read_raw(self.system.kafka, kept) if each.key not in self.poisoned]
                producer = AIOKafkaProducer(bootstrap_servers=self.system.kafka)
                await producer.start()
                try:
                    for record in chance.sample(events, min(REPEATED, len(events))):
                        await producer.send_and_wait(
                            record.topic, record.value, key=record.key, headers=list(record.headers)
                        )
                finally:
                    await producer.stop()

    async def _refuse(self, fault: Fault) -> None:
        """Let the mail server refuse, or take and not say so, that many times."""
        draft = self.crashes.parent / "orders.draft"
        draft.write_text("\n".join([fault.place] * fault.arrival), encoding="utf-8")
        draft.replace(mail_orders(self.crashes))

    async def _poison(self, fault: Fault) -> None:
        """Publish a record that is no event, under a key of its own; the broker may be away."""
        key = new_id()
        self.poisoned[key.encode()] = fault
        with suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(10), foreign_publisher(self.system.kafka, TOPIC) as publisher:
                await publisher.put({**POISON, **FUTURE}[fault.place](whole(key)))


def mail_orders(crashes: Path) -> Path:
    """The file that the mail catcher obeys."""
    return crashes.parent / "mail-orders"


def environment_with(crashes: Path) -> dict[str, str]:
    """What the services find: where their deaths are ordered, and time-outs that short runs can meet."""
    return {
        "RELEVE_CRASH_DIR": str(crashes), ORDERS_VARIABLE: str(mail_orders(crashes)),
        "RELEVE_SESSION_TIMEOUT_S": "6", "RELEVE_RETRY_LONGEST_S": "1",
        "RELEVE_SEND_TIMEOUT_S": "15", "RELEVE_MAIL_LEASE_S": "10", "RELEVE_MAIL_REPLY_TIMEOUT_S": "8",
        "RELEVE_MAIL_RETRY_LONGEST_S": "2", "RELEVE_STATEMENT_TIMEOUT_S": "10", "RELEVE_LONGEST_RESTART_PAUSE_S": "1",
    }  # fmt: skip
