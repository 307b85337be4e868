"""Owns which ports a system listens on: the defaults of `docs/design.md` §5 where free, others if not."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Iterable
from pathlib import Path

import psutil

from shared.config import DEFAULT_PORTS

DEFAULTS = {**DEFAULT_PORTS, "kafka": 9092, "kafka-controller": 9093, "postgres": 5432, "mail": 1025, "issuer": 9400}
PORTS_VARIABLE = "RELEVE_PORTS"
"""`any` never takes a default port, so that a system of the tests is in nobody's way."""
_BELOW_EPHEMERAL = range(20_000, 32_000)
"""Connections going out take their ports above this range: a port chosen here stays free until it is listened on."""
_TRIES = 100


class _Reservations:
    """The ports that this process has chosen, a byte of one lock file each: no other launcher chooses them meanwhile.

    The kernel lets go of them when this process ends, however it ends.
    """

    def __init__(self) -> None:
        self._ports: set[int] = set()
        self._file: int | None = None

    def take(self, port: int) -> bool:
        """Reserve a port; False if somebody has, this process included."""
        if port in self._ports:
            return False
        if self._file is None:
            path = Path(tempfile.gettempdir()) / f"releve-ports-{os.getuid()}.lock"
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except (BlockingIOError, PermissionError):
            return False
        self._ports.add(port)
        return True

    def give_back(self, port: int) -> None:
        """Leave a port to others."""
        if self._file is not None:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, port)
        self._ports.discard(port)


_reserved = _Reservations()


def choose_ports(roles: Iterable[str]) -> dict[str, int]:
    """A free loopback port for each role: its default, else any. Raises OSError when there is none.

    They stay reserved among launchers until this process ends: children listen on them later, and again after a crash.
    A foreign program may still take one before its use; the start then fails and names the port.
    """
    defaults = {} if os.environ.get(PORTS_VARIABLE) == "any" else DEFAULTS
    return {role: _choose(defaults.get(role)) for role in roles}


def _choose(preferred: int | None) -> int:
    others = random.sample(_BELOW_EPHEMERAL, _TRIES)
    for port in others if preferred is None else [preferred, *others]:
        if _reserved.take(port):
            if is_free(port):
                return port
            _reserved.give_back(port)
    raise OSError("this machine has no free port on loopback")


def is_free(port: int) -> bool:
    """Whether nobody listens on a loopback port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as candidate:
        # Without this a port that was closed a moment ago would count as taken for a minute.
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind(("127.0.0.1", port))
            candidate.listen(1)  # Sockets that are only bound may share a port.
        except OSError:
            return False
        return True


def listens_itself(pid: int, port: int) -> bool:
    """Whether a process, or one that it started, listens on a port; believed where the system does not tell.

    It does not tell root in a container of a process of another account, such as PostgreSQL's.
    """
    try:
        process = psutil.Process(pid)
        members = [process, *process.children(recursive=True)]
        return any(port == listening for member in members for listening in _listening(member))
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def _listening(process: psutil.Process) -> list[int]:
    connections = process.net_connections("tcp")
    return [each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN]


def holder_of(port: int) -> str | None:
    """Who listens on a loopback port, in words; None if nobody does."""
    if is_free(port):
        return None
    try:
        found = [each.pid for each in psutil.net_connections("tcp") if each.laddr and each.laddr.port == port
                 and each.status == psutil.CONN_LISTEN and each.pid]  # fmt: skip
        return f"process {found[0]} ({psutil.Process(found[0]).name()})" if found else "another process"
    except psutil.Error:
        return "another process"
