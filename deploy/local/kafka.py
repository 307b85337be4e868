"""Owns the local broker: the real Apache Kafka in KRaft mode, one node; it declares no topic."""

from __future__ import annotations

import asyncio
import os
import uuid
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.local import cache, prerequisites
from deploy.local.process import NotPrepared, Program, run_to_end

_LOGGING = Path(__file__).with_name("log4j2.xml")
# One core's worth of a development machine: the serial collector and the first compiler tier start in half the time.
_JVM = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Djava.awt.headless=true")
_CONNECT_WITHIN_S = 5.0
_CONFIGURATION = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller_port}
log.dirs={data}
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.cleaner.dedupe.buffer.size=16777216
"""


@dataclass(frozen=True, slots=True)
class LocalKafka:
    """Where the broker keeps its log and listens; both ports on loopback."""

    folder: Path
    port: int
    controller_port: int

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
        settings.write_text(
            _CONFIGURATION.format(port=self.port, controller_port=self.controller_port, data=data), encoding="utf-8"
        )
        command = [java, *_JVM, f"-Dlog4j2.configurationFile={_LOGGING}", "-cp", f"{jars}/*"]
        if not (data / "meta.properties").exists():
            await _format(command, settings)
        ports = (self.port, self.controller_port)
        return Program("kafka", [*command, "kafka.Kafka", str(settings)], os.environ, self.folder, log, ports=ports)

    async def serves(self) -> bool:
        """Whether the broker answers a metadata request."""
        return await answers(self.bootstrap)


def new_cluster_id() -> str:
    """A random id as Kafka writes them. None begins with a hyphen: its tools would take that for an option."""
    while (cluster := urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return cluster


async def _format(command: list[str], settings: Path) -> None:
    tool = [*command, "kafka.tools.StorageTool", "format", "-t", new_cluster_id(), "-c", str(settings)]
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
