"""Owns the answer to "is anything left to do?": what every service says, and Kafka's offsets; it changes nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.local.system import System
from shared.clock import read_clock
from shared.counted import counted

_REQUEST_TIMEOUT_S = 10.0
_AGAIN_AFTER_S = 0.03


class NotIdle(Exception):
    """Something was still left to do at the deadline; the message says what."""


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """What one service says of itself (`GET /status`); `problem` says why when it says nothing."""

    url: str
    problem: str | None = None
    now: datetime | None = None
    outbox_unsent: int = 0
    letters_unsent: int = 0
    halted_keys: int = 0
    timers_due: bool = False
    next_timer: datetime | None = None
    consumers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sample:
    """The system at one look. `lag` is in records, by consumer group, and holds only groups that lag."""

    services: Mapping[str, ServiceStatus]
    end_offsets: Mapping[TopicPartition, int]
    lag: Mapping[str, int]
    clock: datetime | None
    """The simulated time that the services should have reached, or None for the real clock."""

    @property
    def left_to_do(self) -> list[str]:
        """What this look alone shows as unfinished, a line each."""
        left = [f"{group} has {counted(records, 'record')} to read" for group, records in self.lag.items()]
        for name, status in self.services.items():
            left += _left_in(name, status, self.clock)
        return left

    @property
    def next_timer(self) -> datetime | None:
        """The earliest business time at which a service has something to do."""
        return min((s.next_timer for s in self.services.values() if s.next_timer is not None), default=None)


def _left_in(name: str, status: ServiceStatus, clock: datetime | None) -> list[str]:
    if status.problem is not None:
        return [f"{name} does not answer: {status.problem}"]
    left = []
    if status.outbox_unsent:
        left.append(f"{name} has {counted(status.outbox_unsent, 'event')} to send")
    if status.letters_unsent:
        left.append(f"{name} has {counted(status.letters_unsent, 'letter')} to send")
    if status.timers_due:
        left.append(f"{name} has a timer due")
    if clock is not None and status.now is not None and status.now < clock:
        left.append(f"{name} has not seen the clock move")
    return left


def is_idle(first: Sample, second: Sample) -> bool:
    """Whether two successive looks prove that nothing is left to do (`docs/design.md` §6, Time).

    Each look asks the services before the offsets. Equal ends and no lag at the first look mean that all that was
    published had its effect by then; an effect's own events would show as unsent, or as a later end, in the second.
    """
    return not first.left_to_do and not second.left_to_do and first.end_offsets == second.end_offsets


class StatusProbe:
    """Looks at one system again and again over kept connections; use as an async context manager."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._http = httpx.AsyncClient(timeout=_REQUEST_TIMEOUT_S, verify=any(
            url.startswith("https") for url in system.services.values()
        ))  # fmt: skip
        options = {"bootstrap_servers": system.kafka, "request_timeout_ms": int(_REQUEST_TIMEOUT_S * 1000)}
        self._admin = AIOKafkaAdminClient(**options)
        self._consumer = AIOKafkaConsumer(**options, enable_auto_commit=False)
        self._partitions: dict[str, list[TopicPartition]] = {}
        self._coordinators: dict[str, int] = {}

    async def __aenter__(self) -> Self:
        """Connect. Raises KafkaError when no broker answers."""
        try:
            await self._admin.start()
            await self._consumer.start()
            await asyncio.sleep(0)  # Closed before its own task had a turn, a consumer raises that one's cancellation.
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._consumer.stop()
        await self._admin.close()
        await self._http.aclose()

    async def sample(self) -> Sample:
        """One look: the services first, then where topics end, then where groups stand. Raises KafkaError, OSError."""
        path = self._system.clock_file
        clock = read_clock(path) if path is not None else None
        names = list(self._system.services)
        answers = await asyncio.gather(*(self._ask(self._system.services[name]) for name in names))
        services = dict(zip(names, answers, strict=True))
        groups = {group: topics for status in answers for group, topics in status.consumers.items()}
        partitions = await self._partitions_of({topic for topics in groups.values() for topic in topics})
        ends = await self._consumer.end_offsets(partitions) if partitions else {}
        return Sample(services, ends, await self._lags(groups, ends), clock)

    async def wait_until_idle(self, deadline_s: float) -> datetime | None:
        """Wait until nothing is left to do; the time of the next timer, if any.

        `deadline_s`: seconds from now. Raises NotIdle.
        """
        deadline = time.monotonic() + deadline_s
        before: Sample | None = None
        while True:
            try:
                latest = await self.sample()
            except KafkaError as error:
                before, left = None, [f"Kafka does not answer: {error!r}"]
            else:
                if before is not None and is_idle(before, latest):
                    return latest.next_timer
                before, left = latest, latest.left_to_do
            if time.monotonic() > deadline:
                raise NotIdle(f"not idle after {deadline_s:g} s: {'; '.join(left) or 'events keep coming'}")
            if left:
                await asyncio.sleep(_AGAIN_AFTER_S)

    async def _ask(self, url: str) -> ServiceStatus:
        try:
            answer = await self._http.get(f"{url}/status")
            answer.raise_for_status()
            return _read(url, answer.json())
        except (httpx.HTTPError, ValueError, KeyError) as error:
            return ServiceStatus(url, problem=(str(error) or type(error).__name__).partition("\n")[0])

    async def _partitions_of(self, topics: set[str]) -> list[TopicPartition]:
        unknown = topics - self._partitions.keys()
        if unknown:
            described = await self._admin.describe_topics(sorted(unknown))
            for entry in described:
                numbers = [partition["partition"] for partition in entry["partitions"]]
                self._partitions[entry["topic"]] = [TopicPartition(entry["topic"], number) for number in numbers]
        return [partition for topic in sorted(topics) for partition in self._partitions[topic]]

    async def _lags(self, groups: Mapping[str, tuple[str, ...]], ends: Mapping[TopicPartition, int]) -> dict[str, int]:
        names = list(groups)
        lags = await asyncio.gather(*(self._lag(name, groups[name], ends) for name in names))
        return {name: lag for name, lag in zip(names, lags, strict=True) if lag}

    async def _lag(self, group: str, topics: tuple[str, ...], ends: Mapping[TopicPartition, int]) -> int:
        if group not in self._coordinators:
            self._coordinators[group] = await self._admin.find_coordinator(group)
        partitions = [part for topic in topics for part in self._partitions[topic] if ends.get(part)]
        if not partitions:
            return 0
        try:
            held = await self._admin.list_consumer_group_offsets(group, self._coordinators[group], partitions)
        except KafkaError:
            del self._coordinators[group]  # It moved to another broker: found again at the next look.
            raise
        committed = {part: entry.offset for part, entry in held.items() if entry.offset >= 0}
        unread = [part for part in partitions if part not in committed]
        starts = await self._consumer.beginning_offsets(unread) if unread else {}
        return sum(max(0, ends[part] - committed.get(part, starts.get(part, 0))) for part in partitions)


def _read(url: str, said: Mapping[str, Any]) -> ServiceStatus:
    due = said["next_timer"]
    return ServiceStatus(
        url=url,
        now=datetime.fromisoformat(said["now"]),
        outbox_unsent=said["outbox_unsent"],
        letters_unsent=said["letters_unsent"],
        halted_keys=said["halted_keys"],
        timers_due=said["timers_due"],
        next_timer=datetime.fromisoformat(due) if due else None,
        consumers={group: tuple(topics) for group, topics in said["consumers"].items()},
    )
