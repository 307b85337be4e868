"""Owns one run of a whole system: start in order, describe it, watch it, stop it; it leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from deploy.local import containers, named, timekeeping
from deploy.local.choice import Choice, Need, Way, choose
from deploy.local.dependencies import Addresses, LocalDependencies, lacking, met, ports_of, serves
from deploy.local.docker import ROOT
from deploy.local.environment import Surroundings
from deploy.local.ports import choose_ports
from deploy.local.process import Program, Recorded, is_ignored, record, sweep
from deploy.local.state import LAUNCHER, StateFolder, StateUnusable
from deploy.local.supervise import DidNotStart, Supervisor
from deploy.local.system import System
from shared.config import Settings
from shared.events.topics import SERVICES
from shared.messaging.administer import create_topics
from shared.migrate import migrate

_SERVICE = "service:"
_SERVES_WITHIN_S = 90.0


@dataclass(frozen=True, slots=True)
class Options:
    """What `releve up` was asked for."""

    clock: Path | None = None
    simulated: bool = False
    provider: str | None = None
    detached: bool = False
    """Nobody watches: a system that an engine runs entirely needs no launcher to stay."""

    def clock_file(self, state: StateFolder) -> Path | None:
        """The simulated clock's file that was asked for, if any."""
        return timekeeping.asked_for(state, self.clock, simulated=self.simulated)


class Launcher:
    """One run in one state folder, which the caller holds. `tell` is given a line for whoever watches."""

    def __init__(self, state: StateFolder, options: Options, tell: Callable[[str], None]) -> None:
        self._state, self._options, self._told = state, options, tell
        self._supervisor = Supervisor(self._write_down, self._tell)
        self._stop = asyncio.Event()

    async def run(self, ready: Callable[[System], None]) -> None:
        """Start everything, call `ready`, and stay until SIGINT, SIGTERM or SIGHUP; then stop everything.

        Raises DidNotStart, Missing, ChoiceImpossible, ComposeFailed and what migrations and topics raise.
        """
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if name is not signal.SIGHUP or not is_ignored(name):
                loop.add_signal_handler(name, self._stop.set)
        clean_up_after_crash(self._state, self._tell)
        self._state.prepare()
        self._write_down([])
        starting = asyncio.create_task(self._start())
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if self._stop.is_set():
                await self._end(starting)
                return
            system = starting.result()
            ready(system)
            if self._options.detached and system.in_containers:
                return
            await stopping
        except BaseException:
            await self._end(starting)
            raise
        await self._end(starting)

    async def _start(self) -> System:
        choices = choose(os.environ, self._options.provider)
        for choice in choices.values():
            self._tell(f"{choice.need}: {choice.way} ({choice.why})")
        clock = timekeeping.settle(self._state, self._options.clock_file(self._state))
        self._tell(f"clock: {clock}")
        surroundings = await self._surroundings(choices, clock.file)
        if not all(choice.way is Way.DOCKER for choice in choices.values()):
            await self._prepare(surroundings, choices)
            await self._start_services(surroundings)
        self._state.keep_clock(clock.file)
        system = self._describe(surroundings, choices)
        system.save()
        return system

    async def _surroundings(self, choices: dict[Need, Choice], clock_file: Path | None) -> Surroundings:
        elsewhere = met(choices, Way.ENVIRONMENT)
        await named.check(os.environ, elsewhere, self._tell)
        parts = named.addresses(os.environ, elsewhere)
        in_docker, here = met(choices, Way.DOCKER), met(choices, Way.LOCAL)
        ports: Mapping[str, int] = {}
        if in_docker:
            group = containers.Containers.of(self._state, clock_file, outside=len(in_docker) < len(Need))
            self._tell("starting containers")
            parts |= await group.start(in_docker)
            ports = group.service_ports
        if here:
            self._tell(f"starting {', '.join(here)}")
            parts |= await LocalDependencies(self._state, self._supervisor, ports_of(here)).start(here)
        addresses = Addresses(**parts)  # type: ignore[arg-type]
        ports = ports or choose_ports(SERVICES)
        return Surroundings(addresses, ports, self._state.path, clock_file, self._state.secret("access"))

    async def _prepare(self, surroundings: Surroundings, choices: dict[Need, Choice]) -> None:
        self._tell("migrating databases, declaring topics")
        addresses = surroundings.addresses
        # One broker of our own keeps one copy; how many a cluster keeps, its operator says.
        copies = Settings().kafka_replication_factor if choices[Need.KAFKA].way is Way.ENVIRONMENT else 1
        async with asyncio.TaskGroup() as group:
            group.create_task(create_topics(addresses.kafka, copies))
            group.create_task(self._migrate(addresses))

    async def _migrate(self, addresses: Addresses) -> None:
        for service in SERVICES:
            await asyncio.to_thread(migrate, service, addresses.owners[service], addresses.databases[service])

    async def _start_services(self, surroundings: Surroundings) -> None:
        self._tell(f"starting {', '.join(SERVICES)}")
        async with asyncio.TaskGroup() as group:
            for service in SERVICES:
                program = Program(
                    _SERVICE + service, [sys.executable, "-m", f"services.{service}"],
                    surroundings.of_service(service, os.environ), ROOT, self._state.log(service),
                    ports=(surroundings.ports[service],),
                )  # fmt: skip
                group.create_task(self._start_service(program))

    async def _start_service(self, program: Program) -> None:
        ready = f"http://127.0.0.1:{program.ports[0]}/readyz"
        try:
            await self._supervisor.start(program, lambda: serves(ready), within_s=_SERVES_WITHIN_S)
        except DidNotStart as failure:
            lacks = await lacking(ready)
            if lacks:
                raise DidNotStart(program, f"{failure.why}, lacking {'; '.join(lacks)}") from None
            raise

    def _describe(self, surroundings: Surroundings, choices: dict[Need, Choice]) -> System:
        addresses = surroundings.addresses
        return System(
            provider=choices[Need.KAFKA].way,
            kafka=addresses.kafka,
            services={name: f"http://127.0.0.1:{port}" for name, port in surroundings.ports.items()},
            databases=addresses.databases,
            issuer=addresses.issuer,
            smtp=addresses.smtp,
            mail_folder=None if choices[Need.MAIL].way is Way.ENVIRONMENT else self._state.mail,
            clock_file=surroundings.clock_file,
            state_dir=self._state.path,
            chosen={str(need): {"way": str(choice.way), "why": choice.why} for need, choice in choices.items()},
        )

    async def _end(self, starting: asyncio.Task[System]) -> None:
        if self._supervisor.records() or containers.used(self._state):
            self._tell("stopping")
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        with suppress(OSError):  # Whatever the disk refuses now, what was started is stopped.
            self._state.description.unlink(missing_ok=True)
        try:
            await self._supervisor.stop(*(_SERVICE + service for service in SERVICES))
        finally:
            await self._supervisor.stop()
        if containers.used(self._state):
            await asyncio.to_thread(containers.remove, self._state)
        # The supervisor has written down that nobody runs but this launcher: `down` waits until that is gone too.

    def _tell(self, line: str) -> None:
        """Tell whoever watches, if they still can be told: a closed terminal or a full disk ends nothing."""
        with suppress(OSError, ValueError):
            self._told(line)

    def _write_down(self, children: list[Recorded]) -> None:
        own = record(LAUNCHER, os.getpid())
        self._state.write_processes([*([own] if own else []), *children])


def _left_its_description(state: StateFolder) -> bool:
    """Whether a launcher died here, not stopped: one that stops takes its description with it."""
    try:
        left = System.saved(state)
    except StateUnusable:
        return True
    return left is not None and not left.in_containers


def clean_up_after_crash(state: StateFolder, tell: Callable[[str], None]) -> bool:
    """End what a launcher that died left in this folder; whether there was anything. The caller holds the folder."""
    died = _left_its_description(state)
    children = [entry for entry in state.processes() if entry.role != LAUNCHER]
    ended = sweep(children)
    for entry in ended:
        tell(f"ended {entry.role} (process {entry.pid}), which an earlier launcher left behind")
    gone = [entry.role.removeprefix(_SERVICE) for entry in children if entry not in ended]
    if gone:
        tell(f"an earlier launcher died, and with it ended {', '.join(gone)}; what it had written down is cleared away")
    elif died and not ended:
        tell("an earlier system had ended without being stopped; what it had written down is cleared away")
    state.description.unlink(missing_ok=True)
    state.write_processes([])
    return died or bool(children)
