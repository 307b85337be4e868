"""Owns the group commit: concurrent requests share one transaction, and each is answered only after its commit.

While one group is written, the next gathers; how many may wait is bounded. It knows nothing of what is written.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from shared.db import Database, Transaction
from shared.messaging.failures import Verdict, judge, sqlstate_of
from shared.telemetry import GROUP_SIZE, WAITING

Item = TypeVar("Item")
Answer = TypeVar("Answer")

GONE = ("08", "57")
"""SQLSTATE of a connection or a server that is gone, or that took too long: each of the group would wait as long."""

GATHER_WITHIN_S = 0.004
GATHERED = 0.75
"""How long a group waits for how much of the size of the one before it."""


class TooManyWait(Exception):
    """More wait for their commit than may; nothing was begun for this one. Worth a retry after some seconds."""


@dataclass(slots=True)
class _Waiting(Generic[Item, Answer]):
    item: Item
    answer: "asyncio.Future[Answer]"


class GroupCommit(Generic[Item, Answer]):
    """Writes items in groups. `work` writes a whole group in the transaction it is given, an answer for each in order.

    A group that fails is written again one by one, so that one item can never fail another.
    """

    def __init__(
        self,
        db: Database,
        name: str,
        work: Callable[[Transaction, Sequence[Item]], Awaitable[Sequence[Answer]]],
        *,
        largest: int,
        most_waiting: int,
    ) -> None:
        self._db = db
        self._name = name
        self._work = work
        self._largest = largest
        self._most_waiting = most_waiting
        self._waiting: deque[_Waiting[Item, Answer]] = deque()
        self._waiting_now, self._sizes = WAITING.labels(name), GROUP_SIZE.labels(name)
        self._writer: asyncio.Task[None] | None = None
        self._last = 1
        self._enough = asyncio.Event()

    def refuse_if_full(self) -> None:
        """Raise TooManyWait if `written` would: before anything is spent on an item."""
        if len(self._waiting) >= self._most_waiting:
            raise TooManyWait

    async def written(self, item: Item) -> Answer:
        """What the work answers for an item, once that is committed. Raises TooManyWait, and what the work raises."""
        self.refuse_if_full()
        waiting: _Waiting[Item, Answer] = _Waiting(item, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._waiting_now.inc()  # several may bear one name: a group of each round
        if len(self._waiting) >= self._last * GATHERED:
            self._enough.set()
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_all(), name=f"group commit {self._name}")
        return await waiting.answer

    async def _write_all(self) -> None:
        """Write group after group until nobody waits."""
        try:
            while self._waiting:
                await self._gather()
                taken = [self._waiting.popleft() for _ in range(min(self._largest, len(self._waiting)))]
                self._waiting_now.dec(len(taken))
                group = [each for each in taken if not each.answer.done()]  # what was given up is not begun
                if group:
                    self._sizes.observe(len(group))
                    self._last = len(group)
                    await self._write(group)
        finally:
            self._writer = None
            for abandoned in self._waiting:  # only when this task is cancelled
                abandoned.answer.cancel()

    async def _gather(self) -> None:
        """Wait a moment while few are here of as many as came last: who was just answered is about to come again.

        Without it the first of them would be written alone, and all others wait for that.
        """
        self._enough.clear()
        if len(self._waiting) < self._last * GATHERED:
            with suppress(TimeoutError):
                async with asyncio.timeout(GATHER_WITHIN_S):
                    await self._enough.wait()

    async def _write(self, group: Sequence[_Waiting[Item, Answer]]) -> None:
        try:
            async with self._db.transaction() as tx:
                answers = await self._work(tx, [each.item for each in group])
                by_item = list(zip(group, answers, strict=True))
        except Exception as failure:  # noqa: BLE001 - it is raised again to who waits, alone or after a try of its own
            if len(group) == 1 or _fails_each(failure):
                _fail(group, failure)
                return
            for each in group:
                await self._write([each])
        except BaseException:
            _settle(group, lambda waiting: waiting.cancel())
            raise
        else:
            for each, answer in by_item:
                if not each.answer.done():
                    each.answer.set_result(answer)


def _fail(group: Sequence[_Waiting[Item, Answer]], failure: Exception) -> None:
    _settle(group, lambda waiting: waiting.set_exception(failure))


def _settle(group: Sequence[_Waiting[Item, Answer]], settle: Callable[["asyncio.Future[Answer]"], object]) -> None:
    for each in group:
        if not each.answer.done():  # its request may have been given up
            settle(each.answer)


def _fails_each(failure: Exception) -> bool:
    """Whether a group's failure is about the way to the database, not about what was written."""
    state = sqlstate_of(failure)
    return state.startswith(GONE) if state is not None else judge(failure) is Verdict.AGAIN
