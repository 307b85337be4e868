"""Owns the local broker: the real Apache Kafka in KRaft mode, alone or as a node of a cluster; it declares no topic."""

from __future__ import annotations

import asyncio
import os
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.local import cache, prerequisites
from deploy.local.process import NotPrepared, Program, run_to_end

_LOGGING = Path(__file__).with_name("log4j2.xml")
# One core's worth of a development machine: the serial collector and the first compiler tier start in half the time.
_JVM = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Djava.awt.headless=true")
_CONNECT_WITHIN_S = 5.0
MOST_COPIES = 3
"""What a cluster keeps of a record; more nodes carry more partitions."""
_CONFIGURATION = """\
process.roles=broker,controller
node.id={node}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
controller.quorum.voters={voters}
log.dirs={data}
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms={session_ms}
broker.heartbeat.interval.ms={heartbeat_ms}
min.insync.replicas={in_sync}
offsets.topic.replication.factor={copies}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={in_sync}
share.coordinator.state.topic.replication.factor={copies}
share.coordinator.state.topic.min.isr={in_sync}
log.cleaner.dedupe.buffer.size=16777216
"""


def new_cluster_id() -> str:
    """A random id as Kafka writes them. None begins with a hyphen: its tools would take that for an option."""
    while (cluster := urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return cluster


@dataclass(frozen=True, slots=True)
class LocalKafka:
    """Where a broker, also a controller, keeps its log and listens; both ports on loopback."""

    folder: Path
    port: int
    controller_port: int
    node: int = 1
    voters: tuple[int, ...] = ()
    """The controller ports of its cluster's nodes, from node 1 on; none if it is alone."""
    cluster_id: str = field(default_factory=new_cluster_id)
    session_ms: int = 9000
    """How long nothing may be heard of a broker before others lead what it led."""

    @property
    def bootstrap(self) -> str:
        """What clients connect to."""
        return f"127.0.0.1:{self.port}"

    async def program(self, log: Path) -> Program:
        """Prepare the log folder (formatted once, kept between runs) and say how the broker is run. Raises Missing."""
        java = prerequisites.java()
        jars = await cache.bring_jars()
        self.folder.mkdir(parents=True, exist_ok=True)
        settings, data = self.folder / "server.properties", self.folder / "data"
        settings.write_text(self._configuration(data), encoding="utf-8")
        command = [java, *_JVM, f"-Dlog4j2.configurationFile={_LOGGING}", "-cp", f"{jars}/*"]
        if not (data / "meta.properties").exists():
            await _format(command, settings, self.cluster_id)
        ports = (self.port, self.controller_port)
        return Program("kafka", [*command, "kafka.Kafka", str(settings)], os.environ, self.folder, log, ports=ports)

    def _configuration(self, data: Path) -> str:
        voters = self.voters or (self.controller_port,)
        copies = min(len(voters), MOST_COPIES)
        return _CONFIGURATION.format(
            port=self.port, controller_port=self.controller_port, data=data, node=self.node,
            voters=",".join(f"{node}@127.0.0.1:{port}" for node, port in enumerate(voters, start=1)),
            copies=copies, in_sync=copies // 2 + 1, session_ms=self.session_ms, heartbeat_ms=self.session_ms // 4,
        )  # fmt: skip

    async def serves(self) -> bool:
        """Whether the broker answers a metadata request."""
        return await answers(self.bootstrap)


def local_cluster(folder: Path, ports: Sequence[tuple[int, int]], session_ms: int) -> list[LocalKafka]:
    """The nodes of one cluster, by each broker's port and its controller's; Kafka's own topics are kept three times."""
    voters, cluster_id = tuple(controller for _, controller in ports), new_cluster_id()
    return [
        LocalKafka(folder / f"kafka-{node}", port, controller, node, voters, cluster_id, session_ms)
        for node, (port, controller) in enumerate(ports, start=1)
    ]


async def _format(command: list[str], settings: Path, cluster_id: str) -> None:
    tool = [*command, "kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(settings)]
    status, said = await run_to_end(tool)
    if status != 0:
        raise NotPrepared(f"the broker's log folder could not be formatted: {said[-2000:].strip()}")


async def answers(bootstrap: str, within_s: float = 10.0) -> bool:
    """Whether a broker at that address tells its topics."""
    if not await _any_listens(bootstrap):  # The client logs an error for each refusal; a closed port is no news.
        return False
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=int(within_s * 1000))
    try:
        async with asyncio.timeout(within_s):
            await admin.start()
            await admin.list_topics()
    except (KafkaError, OSError, TimeoutError):
        return False
    else:
        return True
    finally:
        await admin.close()


async def _any_listens(bootstrap: str) -> bool:
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        try:
            async with asyncio.timeout(_CONNECT_WITHIN_S):
                _, writer = await asyncio.open_connection(host, int(port))
        except (OSError, TimeoutError, ValueError):
            continue
        writer.close()
        return True
    return False
