"""Owns how commands on applications run: beside others of their round where they may, else with it for themselves.

Those that come together and may run beside each other share a transaction, and each is answered after its commit.
"""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from services.review.domain.refusals import Refusal
from services.review.handlers.cases import MustBeAlone
from shared.db import Database, Transaction
from shared.group_commit import GroupCommit

Answer = dict[str, Any] | Refusal

LARGEST, MOST_WAITING = 16, 1000


class Command(Protocol):
    """A command that may run beside others of its round, or alone."""

    def __call__(self, tx: Transaction, *, alone: bool) -> Awaitable[Answer]:
        """Run it. Raises MustBeAlone before it writes anything."""
        ...


@dataclass(frozen=True, slots=True)
class _Asked:
    application_id: str
    command: Command


class Together:
    """The commands of one process. A shared lock cannot be made an exclusive one: two that try wait for each other."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._group: GroupCommit[_Asked, Answer | MustBeAlone] = GroupCommit(
            db, "commands", _in_turn, largest=LARGEST, most_waiting=MOST_WAITING
        )

    async def run(self, application_id: str, command: Command) -> Answer:
        """Run a command with others that may share its commit, or alone if it says so. Raises TooManyWait."""
        answer = await self._group.written(_Asked(application_id, command))
        return await self._alone(command) if isinstance(answer, MustBeAlone) else answer

    async def run_apart(self, command: Command) -> Answer:
        """The same for one that locks more than its own application: in a group it might wait for its like."""
        try:
            async with self._db.transaction() as tx:
                return await command(tx, alone=False)
        except MustBeAlone:
            return await self._alone(command)

    async def _alone(self, command: Command) -> Answer:
        """From the beginning, with the round for itself."""
        async with self._db.transaction() as tx:
            return await command(tx, alone=True)


async def _in_turn(tx: Transaction, group: Sequence[_Asked]) -> list[Answer | MustBeAlone]:
    """One after the other in the order of their applications, so that two processes lock them in the same order."""
    answers: dict[int, Answer | MustBeAlone] = {}
    for place, asked in sorted(enumerate(group), key=lambda each: each[1].application_id):
        try:
            answers[place] = await asked.command(tx, alone=False)
        except MustBeAlone as must:
            answers[place] = must
    return [answers[place] for place in range(len(group))]
