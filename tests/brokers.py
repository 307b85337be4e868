"""Owns a Kafka cluster of the tests: three nodes on this machine, each of which can be killed and brought back."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from deploy.local.kafka import LocalKafka, local_cluster
from deploy.local.ports import choose_ports
from deploy.local.process import kill_group, spawn
from tests.waiting import until

NODES = 3
SESSION_MS = 5000
"""A dead leader is missed this soon."""


@dataclass
class Cluster:
    """The nodes by their number, from 1 on, and the processes of those that run."""

    nodes: dict[int, LocalKafka]
    _running: dict[int, asyncio.subprocess.Process] = field(default_factory=dict)

    @property
    def bootstrap(self) -> str:
        """All nodes: whichever lives answers."""
        return ",".join(node.bootstrap for node in self.nodes.values())

    async def start(self) -> None:
        """Start every node that does not run, and wait until all serve."""
        await asyncio.gather(*(self._start(each) for each in self.nodes.values() if each.node not in self._running))

    async def _start(self, node: LocalKafka) -> None:
        self._running[node.node] = await spawn(await node.program(node.folder / "kafka.log"))
        await until(node.serves)

    async def kill(self, number: int) -> None:
        """As a power cut would: nothing is flushed, nobody is told."""
        process = self._running.pop(number)
        kill_group(process.pid)
        await process.wait()

    async def leaders(self, topic: str) -> Counter[int]:
        """How many partitions of a topic each node leads, by what the living say."""
        async with self._admin() as admin:
            (described,) = await admin.describe_topics([topic])
        return Counter(partition["leader"] for partition in described["partitions"])

    async def setting(self, topic: str, name: str) -> str:
        """What a topic's setting is in effect."""
        async with self._admin() as admin:
            (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {name: None})])
        ((*_, ((_, value, *_),)),) = answer.resources
        return str(value)

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            await admin.start()
            yield admin
        finally:
            await admin.close()


@asynccontextmanager
async def cluster_in(folder: Path) -> AsyncIterator[Cluster]:
    """A cluster whose nodes all serve; it is killed at the end."""
    roles = [(f"kafka-{node}", f"kafka-controller-{node}") for node in range(1, NODES + 1)]
    ports = choose_ports([role for pair in roles for role in pair])
    nodes = local_cluster(folder, [(ports[broker], ports[controller]) for broker, controller in roles], SESSION_MS)
    cluster = Cluster({node.node: node for node in nodes})
    try:
        await cluster.start()
        yield cluster
    finally:
        for number in list(cluster._running):
            await cluster.kill(number)
