"""Owns how commands on applications run: beside others of their round where they may, else with it for themselves.

Those that come together and may run beside each other share a transaction, and each is answered after its commit.
"""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from services.review.domain.refusals import Refusal
from services.review.handlers.cases import MustBeAlone
from services.review.store import applications
from shared.db import Database, Transaction
from shared.group_commit import GroupCommit

Answer = dict[str, Any] | Refusal

LARGEST, MOST_WAITING = 16, 200
"""Of one round."""
ROUNDS_KNOWN = 50_000


class Command(Protocol):
    """A command that may run beside others of its round, or alone."""

    def __call__(self, tx: Transaction, *, alone: bool) -> Awaitable[Answer]:
        """Run it. Raises MustBeAlone before it writes anything."""
        ...


@dataclass(frozen=True, slots=True)
class _Asked:
    application_id: str
    command: Command


Group = GroupCommit[_Asked, Answer | MustBeAlone]


class Together:
    """The commands of one process. A shared lock cannot be made an exclusive one: two that try wait for each other.

    A group is of one round: it holds that round's row and none that comes before it in the order of locks, and who
    waits for one round holds up no other.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._groups: dict[str, Group] = {}
        self._rounds: dict[str, str] = {}
        """The round of each application that was asked about: it never changes."""

    async def run(self, application_id: str, command: Command) -> Answer:
        """Run a command with others that may share its commit, or alone if it says so. Raises TooManyWait."""
        group = await self._group_of(application_id)
        if group is None:
            return await self.run_apart(command)
        answer = await group.written(_Asked(application_id, command))
        return await self._alone(command) if isinstance(answer, MustBeAlone) else answer

    async def _group_of(self, application_id: str) -> Group | None:
        """Where its round's commands gather; None of an application that is not here."""
        round_id = self._rounds.get(application_id)
        if round_id is None:
            async with self._db.transaction() as tx:
                home = await applications.home_of(tx, application_id)
            if home is None:
                return None
            if len(self._rounds) >= ROUNDS_KNOWN:
                self._rounds.clear()
            round_id = self._rounds[application_id] = home[1]
        if round_id not in self._groups:
            self._groups[round_id] = GroupCommit(
                self._db, "commands", _in_turn, largest=LARGEST, most_waiting=MOST_WAITING
            )
        return self._groups[round_id]

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
            answers[place] = must.with_traceback(None)  # whose frames hold the dossier
    return [answers[place] for place in range(len(group))]
