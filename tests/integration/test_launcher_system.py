"""A whole system under `releve up`: said twice, its parts killed, its launcher killed, stopped."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from cli.status import document_of, two_samples
from deploy.local.launcher import Options
from deploy.local.process import Recorded
from deploy.local.run import down, up_detached
from deploy.local.state import LAUNCHER, AlreadyRunning, StateFolder
from deploy.local.status import StatusProbe, is_idle
from deploy.local.system import NoSystem, System
from tests.servers import as_processes
from tests.waiting import until

pytestmark = pytest.mark.e2e
OPTIONS = Options(simulated=True, provider=as_processes())
_SERVICES = ("intake", "review", "funding", "notify", "ops")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StateFolder]:
    """A folder whose system may be started and ended by any test here; nothing of it is left afterwards."""
    state = StateFolder.at(Path(tmp_path_factory.mktemp("launcher")))
    yield state
    down(state, print)


@pytest.fixture
def system(folder: StateFolder) -> System:
    """The running system of the folder, started if the test before ended it."""
    if folder.is_held():
        return System.current(folder.path)
    return up_detached(folder, OPTIONS, print, outlive=False)


def releve(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "cli.main", *words], capture_output=True, text=True, check=False)


def running(folder: StateFolder) -> dict[str, Recorded]:
    return {entry.role: entry for entry in folder.processes() if entry.process() is not None}


def alive(entry: Recorded) -> psutil.Process:
    process = entry.process()
    assert process is not None
    return process


async def ready(url: str) -> bool:
    try:
        async with httpx.AsyncClient() as client:
            return (await client.get(f"{url}/readyz")).is_success
    except httpx.HTTPError:
        return False


def test_a_second_up_says_what_runs_and_where(folder: StateFolder, system: System) -> None:
    with pytest.raises(AlreadyRunning):
        up_detached(folder, OPTIONS, print)
    second = releve("up", "--state-dir", str(folder.path))
    assert second.returncode == 0
    assert "It runs already." in second.stdout
    assert all(url in second.stdout for url in system.services.values())


async def test_a_fresh_system_is_idle_and_says_so_within_a_second(system: System) -> None:
    async with StatusProbe(system) as probe:
        await probe.wait_until_idle(20)
        samples = [await probe.sample() for _ in range(2)]
    assert is_idle(*samples)
    document = document_of(system, samples[1], idle=True)
    assert {*_SERVICES, LAUNCHER, "mail", "issuer"} <= set(document["pids"])
    held = document["pss_mib"]
    assert sum(held[name] for name in _SERVICES) < 800
    assert held[LAUNCHER] < min(held[name] for name in _SERVICES) * 2, "its children are counted where they belong"


def test_status_and_doctor_are_documents_for_machines(folder: StateFolder, system: System) -> None:
    status = releve("status", "--json", "--state-dir", str(folder.path))
    assert status.returncode == 0, status.stderr
    assert json.loads(status.stdout)["services"] == dict(system.services)
    doctor = releve("doctor", "--json", "--state-dir", str(folder.path))
    document = json.loads(doctor.stdout)
    assert [one for one in document["findings"] if not one["well"]] == []
    assert {need: set(one["found"]) for need, one in document["chosen"].items()} == {
        need: {"environment", "docker", "local"} for need in ("kafka", "postgres", "mail", "identity")
    }


def test_a_broken_clock_file_is_told_in_a_sentence_and_waited_for(folder: StateFolder, system: System) -> None:
    assert system.clock_file is not None
    kept = system.clock_file.read_text("utf-8")
    system.clock_file.write_text("garbage", "utf-8")
    try:
        told = releve("status", "--state-dir", str(folder.path))
        answer = httpx.get(f"{system.services['intake']}/status")
    finally:
        system.clock_file.write_text(kept, "utf-8")
    assert (told.returncode, told.stdout) == (1, "")
    sentence = f"the clock file {system.clock_file} holds 'garbage', not an instant such as 2021-08-02T09:15:00Z"
    assert told.stderr.splitlines() == [sentence]
    assert answer.status_code == 503


async def test_a_service_killed_outright_serves_again_by_itself(folder: StateFolder, system: System) -> None:
    killed = running(folder)["service:funding"]
    alive(killed).kill()
    await until(lambda: running(folder).get("service:funding", killed) != killed)
    await until(lambda: ready(system.services["funding"]))
    before, after = await two_samples(system)
    assert not [status.problem for sample in (before, after) for status in sample.services.values() if status.problem]


async def test_a_launcher_killed_outright_leaves_no_process_and_no_lock(folder: StateFolder, system: System) -> None:
    processes = running(folder)
    alive(processes[LAUNCHER]).kill()
    await until(lambda: not running(folder) and not folder.is_held())
    with pytest.raises(NoSystem, match="died"):
        System.current(folder.path)

    again = await asyncio.to_thread(up_detached, folder, OPTIONS, print)
    assert again.databases.keys() == system.databases.keys()
    assert set(running(folder)) == set(processes)


def test_down_ends_everything_and_says_when_there_is_nothing(folder: StateFolder, system: System) -> None:
    processes = running(folder).values()
    stopped = releve("down", "--state-dir", str(folder.path))
    assert stopped.stdout.strip().endswith("Stopped.")
    assert [entry.role for entry in processes if entry.process() is not None] == []
    assert not folder.description.exists()
    assert "Nothing runs" in releve("down", "--state-dir", str(folder.path)).stdout
