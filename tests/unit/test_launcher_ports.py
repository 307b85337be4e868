"""Ports: one system each, also when two choose at the same moment; and who answers at one is proven."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from deploy.local import ports
from deploy.local.ports import PORTS_VARIABLE, choose_ports, holder_of, is_free, listens_itself
from deploy.local.process import Program
from deploy.local.supervise import DidNotStart, Supervisor
from tests.waiting import until

ROOT = Path(__file__).parents[2]
CHOOSES = (
    "from deploy.local import ports; ports.DEFAULTS = {'a': int(%r)}\n"
    "print(ports.choose_ports('a')['a'], flush=True); input()"
)
LISTENS = (
    "import socket, sys, time; one = socket.create_server(('127.0.0.1', int(sys.argv[1]))); print(flush=True)\n"
    "while True: time.sleep(600)"
)


@pytest.fixture
def port() -> int:
    """A port that nobody uses, and that this process does not reserve."""
    chosen = choose_ports(["any"])["any"]
    ports._reserved.give_back(chosen)
    return chosen


@pytest.fixture
def foreigner(port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A program of somebody else that listens on the port."""
    with subprocess.Popen([sys.executable, "-c", LISTENS, str(port)], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()
        yield running
        running.kill()


def wanting(port: int, monkeypatch: pytest.MonkeyPatch, *roles: str) -> list[int]:
    monkeypatch.delenv(PORTS_VARIABLE, raising=False)
    monkeypatch.setattr(ports, "DEFAULTS", dict.fromkeys(roles, port))
    return list(choose_ports(roles).values())


def child(folder: Path, port: int, code: str) -> Program:
    command = [sys.executable, "-c", code, str(port)]
    return Program("service:intake", command, os.environ, folder, folder / "log", ports=(port,))


async def answered() -> bool:
    return True


def test_ports_are_all_different_and_never_a_default_when_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PORTS_VARIABLE, "any")
    chosen = choose_ports(["intake", "review", "funding"])
    assert len(set(chosen.values())) == 3
    assert not set(chosen.values()) & {8001, 8002, 8003}


def test_a_default_port_is_taken_once(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = wanting(port, monkeypatch, "a", "b")
    assert first == port
    assert second != port


def test_a_default_port_that_somebody_listens_on_is_replaced(
    port: int, foreigner: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert wanting(port, monkeypatch, "a") != [port]
    assert holder_of(port) == f"process {foreigner.pid} ({psutil.Process(foreigner.pid).name()})"


def test_a_port_that_another_launcher_chose_is_left_to_it_before_anybody_listens(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != PORTS_VARIABLE}
    command = [sys.executable, "-c", CHOOSES % str(port)]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == str(port)
        assert is_free(port), "it is only chosen"
        assert wanting(port, monkeypatch, "a") != [port]
        other.kill()
        other.wait()
    assert wanting(port, monkeypatch, "a") == [port], "a launcher that died holds nothing"


async def test_what_answers_at_the_port_of_another_is_not_taken_for_the_child(
    port: int, foreigner: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    supervisor = Supervisor(lambda _: None, lambda _: None)
    said = f"on port {port}: it ended with exit status 1, and process {foreigner.pid} .* listens on port {port}"
    with pytest.raises(DidNotStart, match=said):
        await supervisor.start(child(tmp_path, port, LISTENS), answered)
    with pytest.raises(DidNotStart, match=f"did not serve within 0.2 s, and process {foreigner.pid} "):
        await supervisor.start(child(tmp_path, port, "import time; time.sleep(600)"), answered, within_s=0.2)
    await supervisor.stop()


async def test_a_child_that_listens_itself_serves(port: int, tmp_path: Path) -> None:
    seen: list[int] = []
    supervisor = Supervisor(lambda entries: seen.extend(entry.pid for entry in entries), lambda _: None)
    await supervisor.start(child(tmp_path, port, LISTENS), answered)
    assert listens_itself(seen[-1], port)
    await supervisor.stop()
    await until(lambda: is_free(port))
