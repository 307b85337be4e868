"""Processes that are written down, recognised, restarted and swept: never a foreign one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.local.issuer import application
from deploy.local.kafka import new_cluster_id
from deploy.local.launcher import clean_up_after_crash
from deploy.local.process import Program, Recorded, record, sweep
from deploy.local.state import AlreadyRunning, StateFolder
from deploy.local.supervise import LONGEST_PAUSE_S, DidNotStart, Supervisor, pause_before_restart
from deploy.local.system import System
from tests.waiting import until

SLEEPS = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(SLEEPS, start_new_session=True)
    yield child
    child.kill()
    child.wait()


def program(folder: Path, *command: str) -> Program:
    return Program("service:sleeper", command, os.environ, folder, folder / "log")


async def serves() -> bool:
    return True


async def never_serves() -> bool:
    return False


def test_a_recorded_process_is_swept_once(sleeper: subprocess.Popen[bytes]) -> None:
    written = record("service:funding", sleeper.pid)
    assert written is not None
    assert sweep([written]) == [written]
    assert written.process() is None
    assert sweep([written]) == []


def test_what_a_killed_launcher_left_is_cleaned_up_and_said_though_its_children_died_with_it(tmp_path: Path) -> None:
    state, said = StateFolder.at(tmp_path), list[str]()
    System("local", "127.0.0.1:9092", {}, {}, "", "", None, None, tmp_path).save()
    assert clean_up_after_crash(state, said.append)
    assert ["without being stopped" in line for line in said] == [True]
    assert not clean_up_after_crash(state, said.append), "the second time nothing is left"


def test_a_process_that_only_has_the_pid_of_a_recorded_one_is_left_alone(sleeper: subprocess.Popen[bytes]) -> None:
    written = record("service:funding", sleeper.pid)
    assert written is not None
    assert sweep([replace(written, started_at=written.started_at - 3600)]) == []
    assert sleeper.poll() is None


def test_pauses_before_a_restart_grow_and_stay_bounded() -> None:
    pauses = [pause_before_restart(restarts) for restarts in range(10)]
    assert pauses == sorted(pauses)
    assert pauses[:3] == [0.5, 1.0, 2.0]
    assert pauses[-1] == LONGEST_PAUSE_S


def test_a_cluster_id_is_never_taken_for_an_option() -> None:
    assert not [cluster for cluster in (new_cluster_id() for _ in range(2000)) if cluster.startswith("-")]


async def test_what_ends_by_itself_is_started_again_and_written_down(tmp_path: Path) -> None:
    seen: list[list[Recorded]] = []
    said: list[str] = []
    supervisor = Supervisor(seen.append, said.append)
    await supervisor.start(program(tmp_path, *SLEEPS), serves)
    first = seen[-1][0].pid
    os.kill(first, 9)
    await until(lambda: bool(seen[-1]) and seen[-1][0].pid != first)
    assert "ended by itself (signal 9)" in said[0]
    await supervisor.stop()
    assert seen[-1] == []


async def test_a_child_that_ends_while_starting_is_told_with_its_log(tmp_path: Path) -> None:
    supervisor = Supervisor(lambda _: None, lambda _: None)
    with pytest.raises(DidNotStart, match=f"exit status 3; its log is {tmp_path}/log"):
        await supervisor.start(program(tmp_path, sys.executable, "-c", "raise SystemExit(3)"), never_serves)
    await supervisor.stop()


async def test_stopping_a_child_ends_what_it_had_started_too(tmp_path: Path) -> None:
    # The grandchild ignores being asked; only the kill of the whole group reaches it.
    nested = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:]).pid, flush=True); input()"
    stubborn = [sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"]
    supervisor = Supervisor(lambda _: None, lambda _: None)
    started = program(
        tmp_path, "sh", "-c", f'exec "$0" -c \'{nested.replace("input()", "import time; time.sleep(600)")}\' "$@"'
    )
    started = replace(started, command=[*started.command, sys.executable, *stubborn])
    await supervisor.start(started, serves)
    await until(lambda: started.log.read_text().strip() != "")
    grandchild = record("grandchild", int(started.log.read_text()))
    assert grandchild is not None
    await supervisor.stop()
    await until(lambda: grandchild.process() is None)


def test_a_state_folder_is_held_by_one_and_free_when_the_holder_lets_go(tmp_path: Path) -> None:
    folder, same = StateFolder.at(tmp_path), StateFolder.at(tmp_path)
    with folder.held():
        assert same.is_held()
        with pytest.raises(AlreadyRunning), same.held():
            pass
    assert not same.is_held()


def test_secrets_are_made_once_and_kept_for_their_owner_only(tmp_path: Path) -> None:
    folder = StateFolder.at(tmp_path)
    first = folder.secret("postgres")
    assert folder.secret("access") != first
    assert StateFolder.at(tmp_path).secret("postgres") == first
    assert (tmp_path / "secrets.json").stat().st_mode & 0o077 == 0


def test_an_issuer_keeps_its_key_and_makes_a_broken_one_anew(tmp_path: Path) -> None:
    path = tmp_path / "key.json"

    def key_of_a_start() -> str:
        application("http://127.0.0.1:9", path)
        return path.read_text("utf-8")

    kept = key_of_a_start()
    assert key_of_a_start() == kept
    for broken in ("", kept[:100], "{}", "[]", '{"kty": "RSA"}'):
        path.write_text(broken, encoding="utf-8")
        made = key_of_a_start()
        assert made not in (kept, broken)
        assert key_of_a_start() == made
    assert path.stat().st_mode & 0o077 == 0
