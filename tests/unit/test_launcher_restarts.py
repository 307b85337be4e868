"""What ends by itself is started again, whatever else fails meanwhile: a full disk, a closed terminal, a lost file."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploy.local import supervise
from deploy.local.process import Program, Recorded
from deploy.local.state import write_private
from deploy.local.supervise import LONGEST_PAUSE_S, LONGEST_PAUSE_VARIABLE, Supervisor, pause_before_restart
from tests.waiting import until

SLEEPS = (sys.executable, "-c", "import time; time.sleep(600)")


@dataclass
class Disk:
    """Where the launcher writes and speaks; a full one refuses both."""

    full: bool = False
    written: list[list[Recorded]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def write(self, records: list[Recorded]) -> None:
        self._refuse_if_full()
        self.written.append(records)

    def say(self, line: str) -> None:
        self._refuse_if_full()
        self.said.append(line)

    def _refuse_if_full(self) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")

    @property
    def pid(self) -> int:
        """Of the one child, 0 while none is written down."""
        return self.written[-1][0].pid if self.written[-1] else 0


async def serves() -> bool:
    return True


@asynccontextmanager
async def supervised(program: Program, disk: Disk) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(disk.write, disk.say)
    await supervisor.start(program, serves)
    try:
        yield supervisor
    finally:
        await supervisor.stop()


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    monkeypatch.setenv(LONGEST_PAUSE_VARIABLE, "0.02")
    monkeypatch.setattr(supervise, "_WRITE_AGAIN_AFTER_S", 0.02)
    return Program("kafka", SLEEPS, os.environ, tmp_path, tmp_path / "logs" / "kafka.log")


@pytest.fixture(autouse=True)
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder


def put_away(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


def put_back(folder: Path) -> None:
    folder.with_name("elsewhere").rename(folder)


def runs_as_another(supervisor: Supervisor, than: int) -> Callable[[], bool]:
    return lambda: [entry.pid for entry in supervisor.records() if entry.pid != than] != []


async def test_what_ends_while_the_disk_is_full_is_started_again_and_written_down_once_there_is_room(
    program: Program,
) -> None:
    disk = Disk()
    async with supervised(program, disk) as supervisor:
        first = disk.pid
        disk.full = True
        os.kill(first, 9)
        await until(runs_as_another(supervisor, first))
        assert disk.pid == first
        disk.full = False
        await until(lambda: disk.pid == supervisor.records()[0].pid)


async def test_what_could_not_be_started_again_is_tried_until_it_can(program: Program, logs: Path) -> None:
    disk = Disk()
    async with supervised(program, disk) as supervisor:
        first = disk.pid
        put_away(logs)
        os.kill(first, 9)
        await until(lambda: len(disk.said) > 3)
        assert "kafka ended by itself (signal 9); starting it again" in disk.said[0]
        assert all("kafka could not be started ([Errno 2]" in line for line in disk.said[1:])
        put_back(logs)
        await until(runs_as_another(supervisor, first))
        await until(lambda: disk.pid not in (0, first))
        os.kill(disk.pid, 9)
        await until(lambda: "ended by itself" in disk.said[-1])


async def test_a_system_on_a_full_disk_can_be_stopped(program: Program) -> None:
    disk = Disk()
    async with supervised(program, disk) as supervisor:
        disk.full = True
        await supervisor.stop()
        assert supervisor.records() == []


async def test_a_start_that_cannot_be_written_down_fails_and_is_undone(program: Program) -> None:
    disk = Disk(full=True)
    supervisor = Supervisor(disk.write, disk.say)
    with pytest.raises(OSError, match="No space left"):
        await supervisor.start(program, serves)
    assert len(supervisor.records()) == 1, "it is known, so that it is stopped"
    await supervisor.stop()
    assert supervisor.records() == []


def test_a_child_that_failed_for_a_day_is_still_started_again() -> None:
    assert pause_before_restart(5000) == LONGEST_PAUSE_S


def test_what_could_not_be_written_names_its_file_and_leaves_no_draft(tmp_path: Path) -> None:
    (tmp_path / "processes.json").mkdir()
    with pytest.raises(OSError, match=r"processes\.json'$"):
        write_private(tmp_path / "processes.json", [])
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
