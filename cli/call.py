"""Owns the commands about call files: check one, publish one; what a mistake is, the shared model says.

Exit status: 0 all went well · 1 the file has mistakes, the publication was refused, or no system runs · 2 the command
was used wrongly (such as a file that cannot be read) · 3 the service or the identity provider does not answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn
from urllib.parse import urlsplit

import httpx
import typer
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from cli.lines import composed, grammar_mistake, line_of
from cli.tokens import NobodyOfThatName, NoToken, staff_token
from deploy.local.system import NoSystem, System
from shared.counted import counted
from shared.events.call import Call, mistakes_of

MISTAKES, USAGE, AWAY = 1, 2, 3
NO_SYSTEM = 1
"""As every command answers where no system runs."""

app = typer.Typer(no_args_is_help=True, help="Check and publish call files.")

File = Annotated[Path, typer.Argument(help="A call file, such as data/innovation-2021/call.yaml.", dir_okay=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@dataclass(frozen=True, slots=True, order=True)
class LineMistake:
    """One mistake of a file: its line (1 is the first), the dotted field, and a sentence."""

    line: int
    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Checked:
    """A file that was read: its mistakes by line, and the call if it has none."""

    mistakes: list[LineMistake]
    call: Call | None


def check_text(text: str) -> Checked:
    """Read a call file's text; every mistake at once, except after an error of YAML's own grammar."""
    try:
        root = composed(text)
        reader = YAML(typ="safe", pure=True)
        reader.allow_duplicate_keys = True  # told below, each with its line
        document = reader.load(text)
    except (YAMLError, ValueError) as error:
        line, reason = grammar_mistake(error)
        return Checked([LineMistake(line, "", reason)], None)
    if root is None:
        return Checked([LineMistake(1, "", "the file is empty")], None)
    found = [LineMistake(line_of(root, each.path), each.field, each.message) for each in mistakes_of(document)]
    found += _repeated_keys(root, "", set())
    return Checked(sorted(set(found)), None if found else Call.model_validate(document))


def _repeated_keys(node: Node, field: str, seen: set[int]) -> Iterator[LineMistake]:
    if id(node) in seen:  # an alias of what was looked at before
        return
    seen.add(id(node))
    children: list[tuple[str, Node]] = []
    if isinstance(node, MappingNode):
        children = [(str(key.value), value) for key, value in node.value]
        names = [name for name, _ in children]
        for position, (key, _) in enumerate(node.value):
            if names[position] in names[:position] and names[position] != "<<":
                place = f"{field}.{names[position]}".lstrip(".")
                yield LineMistake(key.start_mark.line + 1, place, "the key stands twice")
    elif isinstance(node, SequenceNode):
        children = [(str(position), value) for position, value in enumerate(node.value)]
    for name, value in children:
        yield from _repeated_keys(value, f"{field}.{name}".lstrip("."), seen)


@app.command()
def check(file: File, as_json: AsJson = False) -> None:
    """Name every mistake of a call file with its line. Example: `releve call check data/innovation-2021/call.yaml`.

    Exit status: 0 none, 1 mistakes, 2 not readable.
    """
    checked = _checked(file)
    if as_json:
        mistakes = [{"line": each.line, "field": each.field, "message": each.message} for each in checked.mistakes]
        typer.echo(json.dumps({"file": str(file), "mistakes": mistakes}, ensure_ascii=False))
    elif checked.call is not None:
        call = checked.call
        typer.echo(f"{file}: {call.id}, version {call.version}, has no mistakes.")
    else:
        _tell(file, checked.mistakes)
    raise typer.Exit(MISTAKES if checked.mistakes else 0)


@app.command()
def publish(
    file: File,
    url: Annotated[str | None, typer.Option(help="Where intake is, if not the running system's.")] = None,
    token: Annotated[
        str | None, typer.Option(envvar="RELEVE_TOKEN", help="An administrator's token, if not the local one's.")
    ] = None,
    subject: Annotated[str, typer.Option("--as", help="Who publishes, at the local issuer.")] = "admin",
    as_json: AsJson = False,
) -> None:
    """Publish a call file, as an administrator. Example: `releve call publish data/innovation-2021/call.yaml`.

    Exit status: 0 published (also if it was before),
    1 mistakes, refused or no system, 2 wrong use or not readable, 3 intake or the identity provider away: try again.
    """
    checked = _checked(file)
    if checked.call is None:
        _tell(file, checked.mistakes)
        raise typer.Exit(MISTAKES)
    answer = _put(checked.call, url, token, subject)
    if not answer.is_success:
        _tell_refusal(file, answer)
        raise typer.Exit(MISTAKES)
    published = answer.json()
    if as_json:
        typer.echo(json.dumps(published))
    else:
        typer.echo(f"{published['call_id']}, version {published['version']}, is published.")


def _checked(file: Path) -> Checked:
    try:
        return check_text(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = "is not UTF-8" if isinstance(error, UnicodeDecodeError) else f"cannot be read: {error.strerror}"
        typer.echo(f"{file} {reason}.", err=True)
        raise typer.Exit(USAGE) from None


def _put(call: Call, url: str | None, token: str | None, subject: str) -> httpx.Response:
    if url is not None and not _is_address(url):
        raise typer.BadParameter(f"--url {url}: an address such as http://127.0.0.1:8001")
    try:
        system = None if url and token else System.current()
    except NoSystem as nothing:
        _end(f"Not published: {nothing}", NO_SYSTEM)
    intake = url or (system.services["intake"] if system else "")
    bearer = token or _token(system.issuer if system else "", subject)
    headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
    address = f"{intake.rstrip('/')}/api/v1/calls/{call.id}"
    try:
        return httpx.put(address, content=call.model_dump_json(), headers=headers, timeout=30)
    except httpx.HTTPError as error:
        _end(f"Not published: intake at {intake} does not answer: {error or type(error).__name__}", AWAY)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:  # a port that is no number
        return False


def _token(issuer: str, subject: str) -> str:
    try:
        return staff_token(issuer, subject)
    except NobodyOfThatName as error:
        _end(f"Not published: {error}", MISTAKES)
    except NoToken as error:
        _end(f"Not published: {error}", AWAY)
    except httpx.HTTPError as error:
        _end(f"Not published: the issuer {issuer} does not answer: {error or type(error).__name__}", AWAY)


def _end(sentence: str, code: int) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(code)


def _tell(file: Path, mistakes: list[LineMistake]) -> None:
    for each in mistakes:
        named = f"{each.field}: " if each.field else ""
        typer.echo(f"{file}:{each.line}: {named}{each.message}", err=True)
    typer.echo(f"{counted(len(mistakes), 'mistake')}.", err=True)


def _tell_refusal(file: Path, answer: httpx.Response) -> None:
    try:
        problem: dict[str, Any] = answer.json()
    except ValueError:
        problem = {}
    typer.echo(f"{file} was refused: {answer.status_code} {problem.get('code', '')}", err=True)
    for each in problem.get("errors") or [{"field": "", "message": problem.get("detail", "")}]:
        typer.echo(f"  {each['field']}: {each['message']}".replace("  : ", "  "), err=True)
