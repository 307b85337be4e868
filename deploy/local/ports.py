"""Owns which ports a system listens on: the defaults of `docs/design.md` §5 where free, others if not."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterable

from shared.config import DEFAULT_PORTS

DEFAULTS = {**DEFAULT_PORTS, "kafka": 9092, "kafka-controller": 9093, "postgres": 5432, "mail": 1025, "issuer": 9400}
PORTS_VARIABLE = "RELEVE_PORTS"
"""`any` never takes a default port, so that a system of the tests is in nobody's way."""
_BELOW_EPHEMERAL = range(20_000, 32_000)
"""Connections going out take their ports above this range: a port chosen here stays free until it is listened on."""
_TRIES = 100


def choose_ports(roles: Iterable[str]) -> dict[str, int]:
    """A free loopback port for each role: its default, else any. Raises OSError when there is none.

    Another process may take a port between this choice and its use; the child then says so and the start fails.
    """
    defaults = {} if os.environ.get(PORTS_VARIABLE) == "any" else DEFAULTS
    held: list[socket.socket] = []
    try:
        return {role: _hold(held, defaults.get(role)) for role in roles}
    finally:
        for one in held:
            one.close()


def _hold(held: list[socket.socket], preferred: int | None) -> int:
    others = random.sample(_BELOW_EPHEMERAL, _TRIES)
    for port in others if preferred is None else [preferred, *others]:
        candidate = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        held.append(candidate)
        # Without this a port that was closed a moment ago would count as taken for a minute.
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind(("127.0.0.1", port))
            candidate.listen(1)  # Sockets that are only bound may share a port.
        except OSError:
            continue
        return port
    raise OSError("this machine has no free port on loopback")
