"""Owns what all of review's endpoints share: the address of an application, refusals as problems; no rule."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends

from services.review.domain.refusals import Forbidden, Invalid, NotNow, NotYet, Refusal
from services.review.handlers.together import Command, Together
from shared.group_commit import TooManyWait
from shared.service import Running
from shared.web.apidocs import refuses
from shared.web.problems import FieldError, Problem

OF_COMMAND = refuses("application_unknown", "state_conflict")
BUSY = "Very many act at once. Nothing was stored: send the same again."
COMMANDS = "commands"


async def _application_id(application_id: str) -> str:
    try:
        return str(UUID(application_id))
    except ValueError:
        raise Problem(404, "application_unknown", "There is no such application.") from None


ApplicationId = Annotated[str, Depends(_application_id)]


class Commands:
    """The way of a request to a command: together with others, or apart."""

    def __init__(self, together: Together) -> None:
        self._together = together

    async def run(self, application_id: str, command: Command) -> dict[str, Any]:
        """The answer of a command on an application, or its refusal as a Problem."""
        try:
            return answered(await self._together.run(application_id, command))
        except TooManyWait:
            raise Problem(503, "unavailable", BUSY, retry_after=2) from None

    async def run_apart(self, command: Command) -> dict[str, Any]:
        """The same for a command that locks more than its own application."""
        return answered(await self._together.run_apart(command))


async def _commands(runtime: Running) -> Commands:
    if COMMANDS not in runtime.parts:
        runtime.parts[COMMANDS] = Commands(Together(runtime.db))
    commands: Commands = runtime.parts[COMMANDS]
    return commands


OnApplications = Annotated[Commands, Depends(_commands)]


def answered(result: dict[str, Any] | Refusal) -> dict[str, Any]:
    """The answer, or its refusal as a Problem (`docs/design.md` §5)."""
    if isinstance(result, dict):
        return result
    if isinstance(result, Invalid):
        errors = [FieldError(wrong.field, wrong.code, wrong.message) for wrong in result.errors]
        raise Problem(422, "validation_failed", "Some fields are wrong.", errors)
    if isinstance(result, NotNow):
        raise Problem(409, "state_conflict", result.why)
    if isinstance(result, Forbidden):
        raise Problem(403, "forbidden", result.why)
    if isinstance(result, NotYet):
        raise Problem(503, "unavailable", result.why, retry_after=2)
    raise Problem(404, f"{result.what}_unknown", f"There is no such {result.what}.")
