"""Owns `releve dead-letters`: what consumers set aside, from Kafka; replays and dismissals are asked of ops by name."""

from __future__ import annotations

import base64
from typing import Annotated, Any

import httpx
import typer

from cli import watch
from cli.tokens import NoToken, staff_token
from deploy.local.system import System
from shared.counted import counted
from shared.events.topics import TOPICS
from shared.history import Recorded, recorded_of
from shared.history.dead_letters import TELLING, DeadLetter, dead_letters
from shared.history.reading import read_history, read_one
from shared.messaging.records import RawRecord

app = typer.Typer(help="Records that consumers set aside.", no_args_is_help=True)

TELLING_TOPICS = tuple(topic.name for topic in TOPICS if {each.__name__ for each in TELLING} & set(topic.events))
REQUEST_TIMEOUT_S = 10
LONGEST_SHOWN = 4_000
"""Characters of a value that `show` prints; --json gives all of it."""

Named = Annotated[str, typer.Argument(metavar="ID|PLACE", help="Its id, or where it lies: review.scores[3]@1207.")]
AsJson = Annotated[bool, typer.Option("--json", help="One document for machines.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it; without, only tell what would be done.")]
As = Annotated[str, typer.Option("--as", help="In whose name: an operator of the local issuer.")]
Token = Annotated[str | None, typer.Option(envvar="RELEVE_TOKEN", help="A token instead, any issuer's.")]


@app.command("list")
def list_letters(
    everything: Annotated[bool, typer.Option("--all", help="Those too whose replay was asked for.")] = False,
    as_json: AsJson = False,
    state_dir: watch.StateDir = None,
) -> None:
    """List what was set aside, the oldest first: where it lies, how often it was tried, and why.

    Example: `releve dead-letters list --all`. Exit status: 0 also with an empty list, 1 no answer, 2 wrong use.
    """
    letters = watch.waited(_letters(watch.running_system(state_dir)))
    shown = [each for each in letters if everything or each.open]
    if as_json:
        watch.print_json({"total": len(shown), "items": [each.document() for each in shown]})
        return
    for each in shown:
        typer.echo(line_of(each))
    if not shown:
        typer.echo("Nothing is set aside.")


@app.command("show")
def show_letter(named: Named, as_json: AsJson = False, state_dir: watch.StateDir = None) -> None:
    """Show one with its record as it lies at its origin, and whether this program could read it now.

    Example: `releve dead-letters show "review.scores[3]@1207"`. Exit status: 0 shown, 1 unknown or no answer,
    2 wrong use.
    """
    system = watch.running_system(state_dir)
    letter, raw = watch.waited(_with_origin(system, named))
    document = {**letter.document(), **origin_of(letter, raw)}
    if as_json:
        watch.print_json(document)
        return
    typer.echo(line_of(letter))
    for line in _told(letter, raw):
        typer.echo(line)


@app.command("replay")
def replay_letter(
    named: Named,
    yes: Yes = False,
    subject: As = "operator",
    token: Token = None,
    as_json: AsJson = False,
    state_dir: watch.StateDir = None,
) -> None:
    """Ask the service to try a record's key again, in order; a plan unless --yes.

    Example: `releve dead-letters replay 019… --yes`. Exit status: 0 planned or asked for, 1 it cannot be or no answer,
    2 wrong use.
    """
    system = watch.running_system(state_dir)
    letter, raw = watch.waited(_with_origin(system, named))
    if not letter.origin_key:
        watch.end("This record has no key, so it is no event and stopped nothing: dismiss it.")
    answer = _ask(system, letter, "replay", {}, token or _token(system, subject)) if yes else None
    _tell(letter, raw, plan_of(letter, raw), answer, as_json=as_json)


@app.command("dismiss")
def dismiss_letter(
    named: Named,
    because: Annotated[str, typer.Option(help="Why it may be let go; kept for good. Name no person.")],
    yes: Yes = False,
    subject: As = "operator",
    token: Token = None,
    as_json: AsJson = False,
    state_dir: watch.StateDir = None,
) -> None:
    """Let a record go that is no event, so that its key goes on; a plan unless --yes. What can be read is tried again.

    Example: `releve dead-letters dismiss 019… --because "a test by hand" --yes`. Exit status: 0 planned or asked for,
    1 it cannot be or no answer, 2 wrong use.
    """
    system = watch.running_system(state_dir)
    letter, raw = watch.waited(_with_origin(system, named))
    answer = _ask(system, letter, "dismiss", {"reason": because}, token or _token(system, subject)) if yes else None
    _tell(letter, raw, dismissal_of(letter, raw), answer, as_json=as_json)


def _tell(
    letter: DeadLetter, raw: RawRecord | None, plan: list[str], answer: dict[str, Any] | None, *, as_json: bool
) -> None:
    document = {**letter.document(), "readable_now": origin_of(letter, raw)["readable_now"], "asked": answer}
    if as_json:
        watch.print_json(document)
        return
    for line in plan:
        typer.echo(line)
    typer.echo("Asked for." if answer is not None else "Nothing was done: give --yes to ask for it.")


def plan_of(letter: DeadLetter, raw: RawRecord | None) -> list[str]:
    """What a replay would do, for people."""
    lines = [
        f"{letter.service} would try the key {letter.origin_key} of {letter.origin_topic} again, in order,",
        f"from {letter.place} on, in its consumer {letter.consumer}.",
    ]
    if not letter.open:
        lines.append(_before(letter))
    problem = _problem(letter, raw)
    if problem:
        lines.append(f"It would fail again: {problem}")
    return lines


def dismissal_of(letter: DeadLetter, raw: RawRecord | None) -> list[str]:
    """What a dismissal would do, for people."""
    lines = [f"{letter.service} would let {letter.place} go, in its consumer {letter.consumer}."]
    if letter.origin_key:
        lines.append(f"Then what waits behind it on the key {letter.origin_key} would be taken, in order.")
    if not letter.open:
        lines.append(_before(letter))
    if raw is not None and _problem(letter, raw) is None:
        lines.append("But it can be read now, so it would be tried again instead.")
    return lines


def _before(letter: DeadLetter) -> str:
    if letter.ended is not None:
        return f"It was {letter.ended} before by {letter.requested_by}."
    return f"It was asked for before by {letter.requested_by}."


def line_of(letter: DeadLetter) -> str:
    """One dead letter on one line."""
    ended = watch.paint(letter.ended or "asked", "green" if letter.ended else "yellow")
    state = watch.paint("open", "red", bold=True) if letter.open else ended
    key = letter.origin_key or "(no key)"
    return (
        f"{watch.when(letter.last_at)}  {state}  {letter.id}  {letter.consumer}  {letter.place}  {key}"
        f"  {counted(letter.attempts, 'try', 'tries')}  {letter.reason}"
    )


def origin_of(letter: DeadLetter, raw: RawRecord | None) -> dict[str, Any]:
    """The record at its origin as plain values: bytes as base64, and as text."""
    if raw is None:
        withheld = "personal data" if letter.personal else None
        return {"record": None, "readable_now": None, "withheld": withheld}
    record = {
        "key": _both(raw.key),
        "value": _both(raw.value),
        "headers": {name: None if value is None else _text(value) for name, value in raw.headers},
    }
    problem = _problem(letter, raw)
    return {"record": record, "readable_now": {"ok": problem is None, "problem": problem}, "withheld": None}


def _problem(letter: DeadLetter, raw: RawRecord | None) -> str | None:
    if raw is None or letter.personal:
        return None
    read = recorded_of(raw)
    return None if isinstance(read, Recorded) else str(getattr(read, "reason", "it is a tombstone"))


def _told(letter: DeadLetter, raw: RawRecord | None) -> list[str]:
    if letter.personal:
        return ["  Its topic holds personal data: operations do not read it."]
    if raw is None:
        return ["  Its topic no longer holds it; the service's database does, byte for byte."]
    lines = [f"  key: {_text(raw.key) if raw.key is not None else '(none)'}"]
    lines += [f"  {watch.paint(name, 'cyan')}: {'(null)' if v is None else _text(v)}" for name, v in raw.headers]
    lines.append(f"  value: {_text(raw.value)[:LONGEST_SHOWN] if raw.value is not None else '(none)'}")
    problem = _problem(letter, raw)
    lines.append(f"  read now: {problem or 'well, as far as its schema goes'}")
    return lines


def _both(value: bytes | None) -> dict[str, str] | None:
    return None if value is None else {"base64": base64.b64encode(value).decode(), "text": _text(value)}


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


async def _letters(system: System) -> list[DeadLetter]:
    return dead_letters((await read_history(system.kafka, TELLING_TOPICS)).events)


async def _with_origin(system: System, named: str) -> tuple[DeadLetter, RawRecord | None]:
    named_so = [each for each in await _letters(system) if named in {each.id, each.place}]
    # Several consumers may have set the same record aside: the one that still waits is meant.
    letter = next((each for each in named_so if each.open), named_so[0] if named_so else None)
    if letter is None:
        watch.end(f"Nothing that was set aside is named {named}.")
    if letter.personal:
        return letter, None
    return letter, await read_one(system.kafka, letter.origin_topic, letter.origin_partition, letter.origin_offset)


def _token(system: System, subject: str) -> str:
    try:
        return staff_token(system.issuer, subject)
    except (NoToken, httpx.HTTPError) as failure:
        watch.end(f"No token: {failure}")


def _ask(system: System, letter: DeadLetter, act: str, body: dict[str, str], token: str) -> dict[str, Any]:
    url = f"{system.services['ops']}/api/v1/dead-letters/{letter.id}/{act}"
    try:
        answer = httpx.post(url, json=body, headers={"Authorization": f"Bearer {token}"}, timeout=REQUEST_TIMEOUT_S)
    except httpx.HTTPError as failure:
        watch.end(f"ops does not answer: {failure}")
    if not answer.is_success:
        watch.end(f"ops refused: {answer.status_code} {answer.text}")
    document: dict[str, Any] = answer.json()
    return document
