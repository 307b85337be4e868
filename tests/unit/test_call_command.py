"""`releve call check` and `publish`: every mistake with its line, and exit statuses that scripts can rely on."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.call import app, check_text
from shared.events.agreement import disagreements
from tests.builders_history import DATA
from tests.builders_intake import call_document

GOOD = (DATA / "innovation-2021" / "call.yaml").read_text(encoding="utf-8")
runner = CliRunner()


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


def mistakes(text: str) -> set[tuple[int, str]]:
    return {(each.line, each.field) for each in check_text(text).mistakes}


@pytest.mark.parametrize("folder", ["innovation-2021", "short-money"])
def test_the_calls_of_the_project_have_no_mistakes(folder: str) -> None:
    checked = runner.invoke(app, ["check", str(DATA / folder / "call.yaml")])
    assert checked.exit_code == 0, checked.output
    assert "has no mistakes" in checked.output


WRONG: dict[str, tuple[str, str, str, str]] = {
    "a bound": ("min_eur: 10000", "min_eur: 50000", "grant: {", "grant.min_eur"),
    "a type": ("grace_s: 300", "grace_s: soon", "grace_s: soon", "grace_s"),
    "an unknown key": ("  blind: false", "  blind: false\n  colour: red", "  colour: red", "rubric.colour"),
    "a missing text": ("  en: Innovation call", "  nl: Innovation call", "title:", "title.en"),
    "an id twice": ("- id: disability", "- id: women", "  text: {fr: Personnes en sit", "publics.4.id"),
    "dates": ("  closes_at: 2021-07-31", "  closes_at: 2021-05-31", "  closes_at: 2021-05-31", "rounds.0.closes_at"),
    "an overlap": ("opens_at: 2021-08-01", "opens_at: 2021-07-01", "  opens_at: 2021-07-01", "rounds.1.opens_at"),
    "a tie-break": ("tie_break: [inclusion,", "tie_break: [speed,", "tie_break: [speed", "tie_break.0"),
    "a time zone": ("time_zone: Europe/Paris", "time_zone: Europe/Lutetia", "time_zone:", "time_zone"),
    "no zone": ("announce_at: 2021-09-24T10:00:00+02:00", "announce_at: 2021-09-24T10:00:00", "announce_at: 2021-09-24T10:00:00\n", "rounds.0.announce_at"),  # noqa: E501
    "a version": ("version: 1", "version: 99999999999", "version: 9", "version"),
    "no number": ("envelope_eur: 4000000", "envelope_eur: true", "envelope_eur:", "envelope_eur"),
    "a far date": ("announce_at: 2021-11-18T10:00:00+01:00", "announce_at: 9999-12-31T23:59:59-14:00", "  announce_at: 9999", "rounds.1.announce_at"),  # noqa: E501
    "a key twice": ("decision: chair", "decision: chair\ndecision: automatic", "decision: automatic", "decision"),
    "an unknown word": ("decision: chair", "decision: maybe", "decision: maybe", "decision"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_named_with_its_line(case: str) -> None:
    good, bad, where, field = WRONG[case]
    assert good in GOOD
    text = GOOD.replace(good, bad, 1)
    line = line_of(text, where) - (1 if case == "an id twice" else 0)  # its id stands on the line above
    assert (line, field) in mistakes(text)


def test_every_mistake_is_named_at_once() -> None:
    text = GOOD
    cases = ["a bound", "a type", "an unknown key", "dates", "a tie-break", "a key twice"]
    for case in cases:
        good, bad, _, _ = WRONG[case]
        text = text.replace(good, bad, 1)
    expected = {(line_of(text, WRONG[case][2]), WRONG[case][3]) for case in cases}
    assert mistakes(text) == expected


@pytest.mark.parametrize(
    "text", ["", "a: [1\n", "a: b: c\n", "\ta: 1\n", "- 1\n- 2\n", "just words", "a: &x [*x]\n", "? {a: 1}\n: 2"]
)
def test_what_is_no_call_at_all_is_told_with_a_line(text: str) -> None:
    checked = check_text(text)
    assert checked.call is None
    assert all(each.line >= 1 and each.message for each in checked.mistakes)
    assert checked.mistakes


def test_an_alias_is_told_where_it_is_used() -> None:
    text = GOOD.replace("anchors: *anchors", "anchors: *anchors\n    wait: 1", 1)
    assert (line_of(text, "    wait: 1"), "rubric.criteria.1.wait") in mistakes(text)


def test_rules_between_parts_survive_parts_of_any_shape() -> None:
    for part in call_document():
        for value in (None, 7, "x", [], {}, [7], {"criteria": 7}, [{"id": 7}], [{"id": ["x"]}]):
            disagreements(call_document(**{part: value}))


def test_exit_status_tells_mistakes_from_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    broken, bytes_file = tmp_path / "broken.yaml", tmp_path / "bytes.yaml"
    broken.write_text("id: x\n", encoding="utf-8")
    bytes_file.write_bytes(b"id: \xff\xfe")
    assert runner.invoke(app, ["check", str(broken)]).exit_code == 1
    assert runner.invoke(app, ["publish", str(broken)]).exit_code == 1
    assert runner.invoke(app, ["check", str(tmp_path / "nowhere.yaml")]).exit_code == 2
    assert runner.invoke(app, ["check", str(bytes_file)]).exit_code == 2


def test_machines_are_told_as_json(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(GOOD.replace("min_eur: 10000", "min_eur: 50000"), encoding="utf-8")
    answer = runner.invoke(app, ["check", str(broken), "--json"])
    [mistake] = json.loads(answer.stdout)["mistakes"]
    assert (answer.exit_code, mistake["field"]) == (1, "grant.min_eur")


@pytest.fixture
def answering() -> Iterator[tuple[str, list[Any], dict[str, Any]]]:
    """A server that answers what the test says, and keeps what it was asked."""
    asked: list[Any] = []
    answer: dict[str, Any] = {"status": 200, "body": {"call_id": "innovation-2021", "version": 1}}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, self.headers["Authorization"], json.loads(body)["version"]))
            self.send_response(answer["status"])
            self.end_headers()
            self.wfile.write(json.dumps(answer["body"]).encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", asked, answer
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_call_is_published_with_the_administrators_token(answering: tuple[str, list[Any], dict[str, Any]]) -> None:
    url, asked, answer = answering
    command = ["publish", str(DATA / "innovation-2021" / "call.yaml"), "--url", url, "--token", "t"]
    published = runner.invoke(app, command)
    assert published.exit_code == 0, published.output
    assert asked == [("/api/v1/calls/innovation-2021", "Bearer t", 1)]
    answer |= {"status": 409, "body": {"code": "state_conflict", "errors": [{"field": "version", "message": "no"}]}}
    refused = runner.invoke(app, command)
    assert refused.exit_code == 1
    assert "version: no" in refused.output


def test_a_service_that_is_away_has_a_status_of_its_own() -> None:
    file = str(DATA / "short-money" / "call.yaml")
    answer = runner.invoke(app, ["publish", file, "--url", "http://127.0.0.1:9", "--token", "t"])
    assert answer.exit_code == 3
    assert "intake at http://127.0.0.1:9 does not answer" in answer.stderr


@pytest.mark.parametrize("url", ["foo", "http://", "ftp://127.0.0.1", "http://127.0.0.1:x"])
def test_what_is_no_address_is_wrong_use(url: str) -> None:
    file = str(DATA / "short-money" / "call.yaml")
    assert runner.invoke(app, ["publish", file, "--url", url, "--token", "t"]).exit_code == 2


def test_no_system_has_the_status_that_it_has_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELEVE_STATE_DIR", str(tmp_path))
    nowhere = runner.invoke(app, ["publish", str(DATA / "short-money" / "call.yaml")])
    assert nowhere.exit_code == 1
    assert "No system runs" in nowhere.stderr
