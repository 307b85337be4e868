"""Owns how a command begins: what it is about, locked in the one order; it changes nothing."""

from dataclasses import dataclass

from services.review.domain.conflicts import Assignment
from services.review.domain.refusals import Forbidden, NotYet, Unknown
from services.review.store import applications, opening
from services.review.store.applications import Application
from services.review.store.calls import Round
from shared.db import Transaction
from shared.events.call import Call


class MustBeAlone(Exception):
    """A command that began beside others of its round turns out to need it for itself. It has written nothing yet."""


@dataclass(frozen=True, slots=True)
class Case:
    """An application with its call, its round and every place it ever had."""

    call: Call
    round: Round
    application: Application
    places: list[Assignment]
    alone: bool = True
    """Whether nobody else works in the round, so that others' places, loads and the plan may be changed."""
    listed: str | None = None
    """The subject who was asked about, if a listed reviewer of the call."""

    def must_be_alone(self) -> None:
        """What follows changes what others in the round look at. Raises MustBeAlone if they may be at work."""
        if not self.alone:
            raise MustBeAlone

    @property
    def id(self) -> str:
        """The application's id."""
        return self.application.application_id

    def place_of(self, subject: str) -> Assignment | None:
        """The latest place of somebody on it, also one that was taken back."""
        return next((each for each in reversed(self.places) if each.subject == subject), None)


@dataclass(frozen=True, slots=True)
class OwnCase:
    """A case as the one reviewer sees it who has, or had, that place on it."""

    case: Case
    place: Assignment


async def open_case(
    tx: Transaction, application_id: str, *, alone: bool = True, subject: str = ""
) -> Case | Unknown | NotYet:
    """Lock an application for a command, and its round: `alone` where others' places, loads or plan may change.

    `subject` is whose listing is of interest.
    """
    held = await opening.lock_case(tx, application_id, alone=alone)
    if held is None:
        known = await applications.home_of(tx, application_id) is not None
        return NotYet("The call of this application has not arrived yet.") if known else Unknown("application")
    call, known_round, application = held
    places, listed = await opening.places_and_listed(tx, application_id, call.id, subject)
    return Case(call, known_round, application, places, alone, subject if listed else None)


async def open_own_case(
    tx: Transaction, application_id: str, subject: str, *, alone: bool = True
) -> OwnCase | Unknown | NotYet | Forbidden:
    """The same for a reviewer's command: only who is listed, and only where they have or had a place."""
    case = await open_case(tx, application_id, alone=alone, subject=subject)
    if not isinstance(case, Case):
        return case
    if case.listed is None:
        return Forbidden("You are not a listed reviewer of this call.")
    place = case.place_of(subject)
    return OwnCase(case, place) if place else Forbidden("This application is not assigned to you.")
