"""Intake behind a proxy, its call open, and what its clients are answered: 201, or 503 with Retry-After."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from starlette.responses import JSONResponse

import shared.web.middleware
from shared.ids import new_id
from shared.messaging.failures import where_of
from shared.web.problems import failure_response
from tests.builders_intake import IntakeBench, submission
from tests.chaos.behind import Behind, service_behind
from tests.databases import Databases
from tests.waiting import until


@dataclass
class Desk:
    """Intake behind a proxy, its call open, and what its clients were answered."""

    behind: Behind
    intake: IntakeBench
    sent: int = 0
    answered: Counter[int] = field(default_factory=Counter)
    """How often each status was answered, to first requests and repeated ones."""
    last_failure: str = ""
    """What the last request that was not served met, and where."""

    async def submit(self, key: str | None = None) -> tuple[str, httpx.Response]:
        """Submit as a new applicant, or as the one whose key it is; the key and the answer."""
        if key is None:
            self.sent += 1
            key = f"{self.sent}-{new_id()}"
        body = submission(contact__email=f"porteur-{key.partition('-')[0]}@ecole.example.org")
        answer = await self.intake.submit(body, key)
        self.answered[answer.status_code] += 1
        assert answer.status_code == 201 or (answer.status_code == 503 and int(answer.headers["retry-after"]) > 0), (
            f"{answer.status_code} {answer.text} {self.last_failure}"
        )
        return key, answer

    async def taken_again(self, key: str) -> str:
        """The application of a key, as its client learns it by asking again."""

        taken: list[str] = []

        async def answered() -> bool:
            _, answer = await self.submit(key)
            if answer.status_code == 201:
                taken.append(answer.json()["application_id"])
            return bool(taken)

        await until(answered)
        return taken[0]

    async def stored_once(self, applications: int) -> None:
        """Every application is there once, with its event, and no transaction was left open."""
        assert await self.behind.count("application") == applications
        assert await self.behind.count("outbox WHERE type LIKE '%ApplicationSubmitted%'") == applications
        assert await self.behind.count("outbox WHERE type LIKE '%ContactUpdated%'") == applications
        await self.behind.nothing_left_open()


@asynccontextmanager
async def desk_behind(
    databases: Databases, folder: Path, patch: pytest.MonkeyPatch, **database: float
) -> AsyncIterator[Desk]:
    async with service_behind(databases, "intake", **database) as behind:
        intake = await IntakeBench.over(behind.db, folder, patch)
        await intake.opened()
        desk = Desk(behind, intake)

        def answered(route: str, failure: Exception) -> JSONResponse:
            desk.last_failure = f"{failure!r} {where_of(failure)}"
            return failure_response(route, failure)

        patch.setattr(shared.web.middleware, "failure_response", answered)
        yield desk
