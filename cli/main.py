"""Owns the list of the `releve` commands; each lives in a module of its own, loaded when it is called."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from typing import Any

import typer


@dataclass(frozen=True, slots=True)
class Noun:
    """Where a command lives: `target` is a function, or a typer.Typer of verbs."""

    name: str
    module: str
    target: str


COMMANDS = (
    Noun("up", "cli.run", "up"),
    Noun("down", "cli.run", "down"),
    Noun("status", "cli.status", "status"),
    Noun("doctor", "cli.doctor", "doctor"),
    Noun("migrate", "cli.run", "migrate_databases"),
    Noun("topics", "cli.run", "topics"),
    Noun("demo", "cli.demo", "demo"),
    Noun("token", "cli.tokens", "token"),
    Noun("call", "cli.call", "app"),
    Noun("replay", "cli.replay", "replay"),
    Noun("tail", "cli.tail", "tail"),
    Noun("trace", "cli.trace", "trace"),
    Noun("lag", "cli.lag", "lag"),
    Noun("verify", "cli.verify.command", "verify_system"),
    Noun("dead-letters", "cli.dead_letters", "app"),
    Noun("bench", "cli.bench", "bench"),
)
"""In the order of `releve --help`."""


def make_app(wanted: str | None) -> typer.Typer:
    """The command line. Only the wanted command's module is imported, all of them for help (`wanted` None)."""
    # Local variables in a printed traceback could hold tokens and passwords.
    app = typer.Typer(name="releve", no_args_is_help=True, pretty_exceptions_show_locals=False)

    @app.callback()
    def root() -> None:
        """Runs a public call for projects, from the first dossier to the last convention.

        Exit status of every command: 0 all went well, 1 not all did, or no system runs or answers, 2 wrong use;
        of some commands 3, it may be tried again.
        `releve COMMAND --help` says what that means for it.
        """

    for noun in COMMANDS:
        if wanted in (None, noun.name):
            target = _load(noun)
            if target is None:
                continue
            if isinstance(target, typer.Typer):
                app.add_typer(target, name=noun.name)
            else:
                app.command(noun.name)(target)
    return app


def _load(noun: Noun) -> Any:
    """A command's function or verbs; None when this installation was made without its module."""
    try:
        return getattr(importlib.import_module(noun.module), noun.target)
    except ModuleNotFoundError as error:
        if error.name != noun.module:
            raise
        return None


def main() -> None:
    """The `releve` command."""
    first = next((word for word in sys.argv[1:] if not word.startswith("-")), None)
    known = first if first in {noun.name for noun in COMMANDS} else None
    make_app(known)()


if __name__ == "__main__":
    main()
