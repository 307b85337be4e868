"""Owns the shapes of a refusal that the business expects: values that a rule returns; it knows no HTTP."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WrongField:
    """One wrong field of a command: its dotted path, and a sentence for people."""

    field: str
    message: str
    code: str = "validation_failed"


@dataclass(frozen=True, slots=True)
class Invalid:
    """The command cannot be right whatever the state is; every wrong field at once."""

    errors: tuple[WrongField, ...]


@dataclass(frozen=True, slots=True)
class NotNow:
    """The command does not fit the state of what it is about; `why` is a sentence for people."""

    why: str


@dataclass(frozen=True, slots=True)
class Forbidden:
    """This person may not do it, whatever the state is."""

    why: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """What the command is about is not here; `what` is `application`, `call` or `round`."""

    what: str


@dataclass(frozen=True, slots=True)
class NotYet:
    """What the command needs is on its way here; asking again in a moment may succeed."""

    why: str


Refusal = Invalid | NotNow | Forbidden | Unknown | NotYet
