"""A whole system on servers that somebody else runs and the environment names."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from deploy.local.choice import Need
from deploy.local.dependencies import LocalDependencies, ports_of
from deploy.local.state import StateFolder
from deploy.local.supervise import Supervisor
from shared.events.topics import SERVICES

pytestmark = pytest.mark.e2e


@pytest_asyncio.fixture(loop_scope="session")
async def named(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, str]]:
    """What an operator's environment names: a broker, a database server, a mail server and an issuer that run."""
    folder = StateFolder.at(Path(tmp_path_factory.mktemp("servers")))
    folder.prepare()
    supervisor = Supervisor(folder.write_processes, lambda _: None)
    parts = await LocalDependencies(folder, supervisor, ports_of(list(Need))).start(list(Need))
    databases, owners = parts["databases"], parts["owners"]
    assert isinstance(databases, dict)
    assert isinstance(owners, dict)
    yield {
        "RELEVE_KAFKA_BOOTSTRAP_SERVERS": str(parts["kafka"]),
        "RELEVE_SMTP_URL": str(parts["smtp"]),
        "RELEVE_OIDC_ISSUER": str(parts["issuer"]),
        **{f"RELEVE_{name.upper()}_DATABASE_URL": databases[name] for name in SERVICES},
        **{f"RELEVE_{name.upper()}_OWNER_DATABASE_URL": owners[name] for name in SERVICES},
    }
    await supervisor.stop()


async def releve(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli.main", *words]
    return await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, check=False
    )


async def test_a_system_runs_on_what_the_environment_names_and_doctor_finds_it_well(
    named: dict[str, str], tmp_path: Path
) -> None:
    shell = dict(os.environ) | {"RELEVE_STATE_DIR": str(tmp_path)}
    owner = "RELEVE_REVIEW_OWNER_DATABASE_URL"
    wrong = named[owner].replace("_owner:", "_owner:not-", 1)
    refused = await releve(shell | named | {owner: wrong}, "migrate", "review")
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"{owner} names a database that cannot be used: password authentication failed")

    before = await releve(shell | named, "doctor")
    assert before.returncode == 1
    assert "13 of 13 are missing" in before.stdout
    assert "Nothing was started in" in before.stdout
    try:
        started = await releve(shell | named, "up", "--detach", "--simulated")
        assert started.returncode == 0, started.stderr
        doctor = await releve(shell | named, "doctor", "--json")
        document = json.loads(doctor.stdout)
        assert [one for one in document["findings"] if not one["well"]] == []
        assert {one["chosen"] for one in document["chosen"].values()} == {"environment"}
        assert {one["way"] for one in document["running"].values()} == {"environment"}
        elsewhere = await releve(shell, "doctor")
        assert "kafka comes from: environment (RELEVE_KAFKA_BOOTSTRAP_SERVERS names it)" in elsewhere.stdout
    finally:
        stopped = await releve(shell, "down")
    assert stopped.stdout.strip().endswith("Stopped.")
