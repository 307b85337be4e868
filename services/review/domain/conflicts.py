"""Owns the way of one assignment: declared before it is seen, waived by the chair only, locked when it is submitted.

`docs/design.md` §7: hard forbids, soft needs the chair's written waiver, a late conflict voids its evaluation.
"""

from dataclasses import dataclass
from typing import Literal

from services.review.domain.refusals import Forbidden, Invalid, NotNow, WrongField

ConflictKind = Literal["none", "soft", "hard"]
State = Literal["to_declare", "to_do", "in_progress", "done", "conflict", "removed"]
OPEN: tuple[State, ...] = ("to_declare", "to_do", "in_progress")
READABLE: tuple[State, ...] = ("to_do", "in_progress", "done")
"""States in which a reviewer sees more than the title."""


WITHDRAWN = NotNow("The application was withdrawn.")
SCORE_STANDS = NotNow("The score of this application stands; no further evaluation is needed.")


@dataclass(frozen=True, slots=True)
class Assignment:
    """One reviewer's place on an application. `released`: it is no longer theirs, and somebody else's turn."""

    slot: int
    subject: str
    state: State
    kind: ConflictKind | None = None
    reason: str = ""
    waived: bool = False
    waiver: str = ""
    versions: int = 0
    released: bool = False


@dataclass(frozen=True, slots=True)
class Declared:
    """What a declaration makes of the assignment. `voids`: a submitted evaluation no longer counts."""

    state: State
    released: bool
    voids: bool


def declare(held: Assignment, kind: ConflictKind, reason: str) -> Declared | Invalid | NotNow:
    """Declare an interest, also late. A declared conflict is taken back by nobody; soft may turn out hard."""
    if kind != "none" and not reason:
        return Invalid((WrongField("reason", "A conflict needs a reason."),))
    if held.released:
        return NotNow("This assignment is no longer yours.")
    if held.kind is not None and _rank(kind) <= _rank(held.kind):
        return NotNow("Another declaration was made, and it stands.")
    if kind == "none":
        return Declared("to_do", released=False, voids=False)
    return Declared("conflict", released=kind == "hard", voids=held.state == "done")


def waive(held: Assignment | None, chair: str, reason: str) -> State | Invalid | NotNow | Forbidden:
    """The chair lets a soft conflict pass, in writing: the state in which the reviewer goes on."""
    if not reason:
        return Invalid((WrongField("reason", "A waiver is given in writing."),))
    if held is None or held.kind != "soft" or held.state != "conflict" or held.released:
        return NotNow("That person has declared no soft conflict here that waits for a waiver.")
    if held.subject == chair:
        return Forbidden("Nobody waives a conflict of their own.")
    return "in_progress" if held.versions else "to_do"


def needs_nobody(application_state: str) -> NotNow | None:
    """Whether an application takes no evaluation any more, whoever gives it."""
    if application_state == "withdrawn":
        return WITHDRAWN
    # By others, while a conflict of this reviewer's waited for its waiver.
    return SCORE_STANDS if application_state == "scored" else None


def is_needed(state: str, application_state: str) -> bool:
    """Whether an application still waits for what the holder of a place in this state has to do."""
    return state in OPEN and needs_nobody(application_state) is None


def may_evaluate(held: Assignment) -> NotNow | None:
    """Whether marks may be kept now; repeated content is looked at before this."""
    if held.released:
        return NotNow("This assignment is no longer yours.")
    if held.state == "to_declare":
        return NotNow("Declare first whether you have a conflict of interest.")
    if held.state == "conflict":
        return NotNow("A declared conflict stands against this evaluation.")
    if held.state == "done":
        return NotNow("The evaluation is submitted and locked.")
    return None


def _rank(kind: ConflictKind) -> int:
    return ("none", "soft", "hard").index(kind)
