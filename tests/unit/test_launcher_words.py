"""What `up`, `down`, `status` and `doctor` say of a state folder that is of no use: a sentence that names it."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka.errors import KafkaConnectionError
from typer.testing import CliRunner, Result

from cli import status as cli_status
from cli.main import make_app
from deploy.local import run
from deploy.local.examine import examine
from deploy.local.process import record
from deploy.local.run import UpFailed, down
from deploy.local.state import LAUNCHER, StateFolder, StateUnusable
from deploy.local.system import NoSystem, System
from shared.clock import ENVIRONMENT_VARIABLE, ClockFileBroken

CUT_OFF = '{"postgres": "tr'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StateFolder:
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)
    state = StateFolder.at(tmp_path / "state")
    state.prepare()
    return state


def releve(*words: str) -> Result:
    return CliRunner().invoke(make_app(words[0]), list(words))


def described(folder: StateFolder) -> System:
    """A system whose parts nobody has started."""
    nowhere = "127.0.0.1:9"
    return System(
        provider="local", kafka=nowhere, services={}, databases={}, issuer=f"http://{nowhere}", smtp="",
        mail_folder=None, clock_file=folder.clock_file, state_dir=folder.path,
    )  # fmt: skip


def test_a_system_runs_while_its_launcher_holds_what_it_described(folder: StateFolder) -> None:
    system = described(folder)
    system.save()
    with folder.held():
        assert system.still_runs()
        replace(system, kafka="127.0.0.1:10").save()
        assert not system.still_runs(), "another was started there"
        folder.description.unlink()
        assert not system.still_runs(), "it was stopped"
    system.save()
    assert not system.still_runs(), "its launcher died"


@pytest.mark.parametrize("words", [["up"], ["up", "--detach"], ["down"], ["status"]])
def test_a_file_is_no_state_folder(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = releve(*words, "--state-dir", str(tmp_path / "file"))
    assert refused.exit_code == 1
    sentence = "cannot be used as a state folder (it is a file): name another (--state-dir)."
    assert refused.stderr == f"{tmp_path}/file {sentence}\n"


@pytest.mark.parametrize("words", [["up"], ["up", "--detach"], ["status"]])
def test_a_folder_that_cannot_be_made_is_named_with_the_reason(words: list[str]) -> None:
    refused = releve(*words, "--state-dir", "/dev/null/x")
    assert refused.exit_code == 1
    assert refused.stderr.startswith("/dev/null/x cannot be used as a state folder (/dev/null/x")
    assert "Not a directory): name another (--state-dir)." in refused.stderr


def test_what_is_refused_elsewhere_is_told_with_its_place(monkeypatch: pytest.MonkeyPatch, folder: StateFolder) -> None:
    def refuse(*_: object) -> bool:
        raise OSError(errno.EROFS, "Read-only file system", "/etc/processes.json")

    monkeypatch.setattr(run, "down", refuse)
    refused = releve("down", "--state-dir", str(folder.path))
    assert refused.stderr == "/etc/processes.json cannot be read or written: Read-only file system.\n"


def test_broken_secrets_are_named_and_never_made_anew(folder: StateFolder) -> None:
    (folder.path / "secrets.json").write_text(CUT_OFF, "utf-8")
    with pytest.raises(StateUnusable, match=r"secrets\.json is broken .*put a copy of it back, or take a fresh"):
        folder.secret("postgres")
    assert (folder.path / "secrets.json").read_text("utf-8") == CUT_OFF


@pytest.mark.parametrize("content", ["", CUT_OFF, "{}", "[]", '{"file": 7}'])
def test_a_broken_record_of_the_clock_is_named_with_what_to_write(content: str, folder: StateFolder) -> None:
    (folder.path / "clock.json").write_text(content, "utf-8")
    with pytest.raises(StateUnusable, match=r'clock\.json is broken .*\{"file": null\} for the real clock'):
        folder.kept_clock()


@pytest.mark.parametrize("content", ["", CUT_OFF, "{}", "[]", '{"state_dir": 7}'])
def test_a_broken_description_is_cleared_away_by_down(content: str, folder: StateFolder) -> None:
    folder.description.write_text(content, "utf-8")
    with pytest.raises(NoSystem, match=r"system\.json is broken .*`releve down`"):
        System.current(folder.path)
    down(folder, print)
    assert System.saved(folder) is None


def test_down_says_what_had_ended_with_a_launcher_that_died(folder: StateFolder) -> None:
    own = record(LAUNCHER, os.getpid())
    assert own is not None
    gone = replace(own, started_at=own.started_at - 3600)
    folder.write_processes([gone, replace(gone, role="kafka"), replace(gone, role="service:intake")])
    said: list[str] = []
    assert down(folder, said.append)
    sentence = "an earlier launcher died, and with it ended kafka, intake; what it had written down is cleared away"
    assert said == [sentence]
    assert not down(folder, said.append)


@pytest.mark.parametrize(
    ("ends", "said"),
    [("exit()", "stopped while it started, by `releve down`"), ("exit(3)", "ended with exit status 3; its log"),
     ("import os; os.kill(os.getpid(), 9)", "ended with signal 9; its log")],
)  # fmt: skip
def test_a_start_beside_this_process_that_ended_says_why(ends: str, said: str, folder: StateFolder) -> None:
    child = subprocess.Popen([sys.executable, "-c", ends])
    log = folder.log(LAUNCHER)
    log.touch()
    with pytest.raises(UpFailed, match=said):
        run._followed(folder, child, log, print)


@pytest.mark.parametrize(
    ("failure", "said"),
    [(ClockFileBroken(Path("/s/clock/now"), "garbage"), "the clock file /s/clock/now holds 'garbage', not an instant"),
     (FileNotFoundError(errno.ENOENT, "No such file or directory", "/s/clock/now"), "/s/clock/now cannot be read"),
     (KafkaConnectionError("refused"), "Kafka does not answer")],
)  # fmt: skip
def test_status_says_in_a_sentence_what_keeps_it_from_looking(
    failure: Exception, said: str, folder: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(_: System) -> None:
        raise failure

    monkeypatch.setattr(cli_status, "two_samples", fails)
    described(folder).save()
    with folder.held():
        refused = releve("status", "--state-dir", str(folder.path))
    assert refused.exit_code == 1
    assert refused.stderr.startswith(said)


@pytest.mark.parametrize(("content", "well"), [("2021-08-02T09:15:00Z", True), ("garbage", False), (None, False)])
def test_doctor_looks_at_the_clock_too(content: str | None, well: bool, folder: StateFolder) -> None:
    if content is not None:
        folder.clock_file.write_text(content, "utf-8")
    findings = {one.what: one for one in asyncio.run(examine(described(folder)))}
    assert findings["clock"].well is well
    assert str(folder.clock_file) in findings["clock"].detail
