"""What the commands answer before any system is asked: wrong names, wrong values, and words for numbers."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import typer
from typer.testing import CliRunner, Result

from cli import bench, lag, watch
from cli.demo import told_places
from cli.main import make_app
from cli.run import describe
from deploy.local.issuer import staff
from deploy.local.status import Sample, ServiceStatus
from deploy.local.system import System
from shared.counted import counted
from shared.events.topics import SERVICES
from shared.history.lag import Lag
from tests.builders_history import DATA

NOW = datetime(2021, 9, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _nowhere(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No system runs where these commands look."""
    monkeypatch.setenv("RELEVE_STATE_DIR", str(tmp_path_factory.mktemp("nowhere")))


def releve(*words: str) -> Result:
    return CliRunner().invoke(make_app(words[0]), list(words))


def test_a_token_for_a_name_that_nobody_has_is_refused_with_the_names_there_are() -> None:
    refused = releve("token", "nobody")
    assert refused.exit_code == 1
    assert refused.stdout == ""
    assert all(name in refused.stderr for name in staff())
    assert "--role" in refused.stderr


@pytest.mark.parametrize("words", [["officer", "--as", "chair"], [], ["--role", "chiar", "--as", "ada"]])
def test_a_token_is_for_one_person_with_roles_that_exist(words: list[str]) -> None:
    assert releve("token", *words).exit_code == 2


def test_benchmarks_without_what_tests_need_say_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "OF_THE_TESTS", "nobody_has_this")
    refused = releve("bench", "submit")
    assert refused.exit_code == 2
    assert "`make bench`" in refused.stderr


@pytest.mark.parametrize("named", ["", "  "])
def test_a_trace_of_nothing_is_wrong_use(named: str) -> None:
    refused = releve("trace", named)
    assert refused.exit_code == 2
    assert "INNO-2021-0042" in refused.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["nowhere"],
        [str(DATA / "short-money" / "call.yaml")],
        [str(DATA / "short-money"), "--set", "envelope_eur"],
        [str(DATA / "short-money"), "--set", "colour=red"],
        [str(DATA / "short-money"), "--colour"],
    ],
)
def test_a_replay_that_is_asked_for_wrongly_is_wrong_use_in_a_sentence(words: list[str]) -> None:
    refused = releve("replay", *words)
    assert refused.exit_code == 2
    assert "Traceback" not in refused.output


def test_a_value_that_the_call_cannot_have_is_a_mistake_and_no_wrong_use() -> None:
    refused = releve("replay", str(DATA / "short-money"), "--set", "rubric.pass_mark=160")
    assert refused.exit_code == 1
    assert refused.stderr == "--set rubric.pass_mark: must be at most 100, not 160\n"


@pytest.mark.parametrize(("begin", "end"), [("2021-11-18", "2021-11-17"), ("7", "3")])
def test_a_tail_that_ends_before_it_begins_is_wrong_use(begin: str, end: str) -> None:
    refused = releve("tail", "--from", begin, "--until", end)
    assert refused.exit_code == 2
    assert "before" in refused.stderr


def commands() -> Iterator[tuple[str, Any]]:
    root = typer.main.get_command(make_app(None))
    waiting = [("releve", root)]
    while waiting:
        name, command = waiting.pop()
        children = getattr(command, "commands", {})
        waiting += [(f"{name} {verb}", child) for verb, child in children.items()]
        if not children:
            yield name, command


def test_every_command_has_an_example_and_says_its_exit_statuses() -> None:
    told = {name: command.help or "" for name, command in commands()}
    assert len(told) > 15
    assert [name for name, text in told.items() if f"`{name}" not in text] == []
    assert [name for name, text in told.items() if "Exit status" not in text or "2 " not in text] == []


def test_an_instant_is_shown_with_its_zone() -> None:
    assert watch.when(NOW.astimezone(ZoneInfo("Europe/Paris"))) == "2021-09-30 00:00:00 UTC"


def test_what_the_demo_says_last_fits_a_terminal_with_the_token_that_is_needed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ports = {name: f"http://127.0.0.1:{8101 + number}" for number, name in enumerate(SERVICES)}
    system = System("local", "127.0.0.1:9092", ports, {}, "http://127.0.0.1:9400", "", tmp_path, None, tmp_path)
    describe(system)
    last = [*capsys.readouterr().out.splitlines(), *told_places(system, "innovation-2021", "t" * 700)]
    assert sum(max(1, -(-len(line) // 80)) for line in last) <= 40
    assert any(line.strip() == "t" * 700 for line in last), "a token is copied whole"
    assert f"{ports['intake']}/calls/innovation-2021/laureates" in "\n".join(last)
    assert last[-1] == "Ctrl-C stops it."


def test_a_demo_of_no_folder_is_wrong_use_before_anything_starts() -> None:
    assert releve("demo", "nowhere").exit_code == 2


def test_one_thing_is_not_spoken_of_as_several() -> None:
    assert [counted(number, "record") for number in (0, 1, 2)] == ["0 records", "1 record", "2 records"]
    one = ServiceStatus("http://here", outbox_unsent=1, letters_unsent=1)
    assert Sample({"intake": one}, {}, {"review.calls": 1}, None).left_to_do == [
        "review.calls has 1 record to read", "intake has 1 event to send", "intake has 1 letter to send",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("committed", "messages", "note"),
    [(None, 0, "nothing to read yet"), (None, 3, "it has read nothing yet"), (3, 0, "")],
)
def test_a_group_without_an_offset_says_what_that_means(committed: int | None, messages: int, note: str) -> None:
    parts = [Lag("review.intake.calls", "intake.calls", 0, committed, messages, messages)]
    line = lag.told(parts, NOW, partitions=False)[1]
    assert line.endswith(f"({note})") if note else not line.endswith(")")


def test_colours_are_for_terminals_only() -> None:
    assert watch.paint("open", "red", bold=True) == "open"
