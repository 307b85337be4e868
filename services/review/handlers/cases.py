"""Owns how a command begins: what it is about, locked in the one order; it changes nothing."""

from dataclasses import dataclass

from services.review.domain.conflicts import Assignment
from services.review.domain.refusals import Forbidden, NotYet, Unknown
from services.review.store import applications, assignments, calls
from services.review.store.applications import Application
from services.review.store.calls import Round
from shared.db import Transaction
from shared.events.call import Call


@dataclass(frozen=True, slots=True)
class Case:
    """An application with its call, its round and every place it ever had."""

    call: Call
    round: Round
    application: Application
    places: list[Assignment]

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


async def open_case(tx: Transaction, application_id: str, *, alone: bool = True) -> Case | Unknown | NotYet:
    """Lock an application for a command, and its round: `alone` where others' places, loads or plan may change."""
    home = await applications.home_of(tx, application_id)
    if home is None:
        return Unknown("application")
    call = await calls.share_call(tx, home[0])
    known = await calls.lock_round(tx, home[1], shared=not alone)
    if call is None or known is None:
        return NotYet("The call of this application has not arrived yet.")
    application = await applications.lock(tx, application_id)
    return Case(call, known, application, await assignments.of_application(tx, application_id))


async def open_own_case(
    tx: Transaction, application_id: str, subject: str, *, alone: bool = True
) -> OwnCase | Unknown | NotYet | Forbidden:
    """The same for a reviewer's command: only who is listed, and only where they have or had a place."""
    case = await open_case(tx, application_id, alone=alone)
    if not isinstance(case, Case):
        return case
    if not await calls.is_listed(tx, subject, case.call.id):
        return Forbidden("You are not a listed reviewer of this call.")
    place = case.place_of(subject)
    return OwnCase(case, place) if place else Forbidden("This application is not assigned to you.")
