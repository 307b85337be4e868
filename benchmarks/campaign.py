"""Owns one whole call as people would run it on a real system, from the first submission to the last letter.

Everybody acts through the public interfaces, in phases: a phase begins when what it needs is there, which is looked for
every 20 ms. Each phase's time is told.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from benchmarks.client import NotTaken, ask_one, ask_well, request
from benchmarks.whole import REVIEWERS, Whole
from shared.events.call import Call
from tests.dossiers import dossier
from tests.open_call import open_call

LOOK_AGAIN_S = 0.02
WITHIN_S = 120.0
LETTERS_EACH = 2
"""The receipt, and the outcome."""


def call_of(number: int, began: datetime) -> Call:
    """The call of 2021 with one round, a day after `began`; money for half of those who ask."""
    opens = began + timedelta(days=1)
    one = {
        "id": f"whole-{number}-r1", "opens_at": opens.isoformat(), "closes_at": (opens + timedelta(days=1)).isoformat(),
        "announce_at": (opens + timedelta(days=3)).isoformat(),
    }  # fmt: skip
    return open_call(
        id=f"whole-{number}", reference_prefix=f"W{number}", rounds=[one], envelope_eur=30_000_000,
        answer_within_days=365, second_person=True,
    )  # fmt: skip


def evaluation_of(call: Call, number: int) -> dict[str, Any]:
    """Marks between fair and outstanding, the same of both reviewers of one application, so that they agree."""
    marks = {
        each.id: {"value": 3 + (number + place) % 3, "reason": "Le projet répond à ce critère de manière convaincante."}
        for place, each in enumerate(call.rubric.criteria)
    }
    comment = "Un projet solide, porté par une équipe qui connaît son public. " * 3
    return {"marks": marks, "comment": comment.strip(), "recommendation": "fund", "recommended_eur": None}


@dataclass
class Campaign:
    """One call on a running system. `began` is business time; nothing of it has happened before."""

    whole: Whole
    number: int
    applications: int
    began: datetime
    seconds: dict[str, float] = field(default_factory=dict)
    """By phase."""

    async def run(self) -> dict[str, float]:
        """Run it; seconds by phase, and `seconds` for all but the preparation. Raises NotTaken, TimeoutError."""
        call = await self._prepared()
        with self._timed("submit"):
            ids = await self._submit(call)
        with self._timed("instruct"):
            await self._instruct(call, ids)
        with self._timed("evaluate"):
            await self._evaluate(call, {application_id: number for number, application_id in enumerate(ids)})
        with self._timed("decide"):
            await self._decide(call)
        with self._timed("tell"):
            await self._tell(call)
        return {"seconds": sum(self.seconds.values())} | {f"{name}_s": each for name, each in self.seconds.items()}

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[phase] = time.perf_counter() - began

    async def _prepared(self) -> Call:
        """The call is published everywhere, its reviewers listed."""
        call = call_of(self.number, self.began)
        self.whole.move_clock(self.began)
        await self._staff("admin", "intake", "PUT", f"/api/v1/calls/{call.id}", call.model_dump(mode="json"))
        listed = [{"subject": name, "organisations": [], "themes": []} for name in REVIEWERS]
        path = f"/api/v1/calls/{call.id}/reviewers"
        asked = request("PUT", path, listed, self.whole.tokens["chair"])
        expected = {404: "the call has not come yet"}
        await self._until(lambda: ask_one(self.whole.urls["review"], asked, expected))
        self.whole.move_clock(call.rounds[0].opens_at + timedelta(hours=1))
        self.whole.sink.letters()
        return call

    async def _submit(self, call: Call) -> list[str]:
        path, first = f"/api/v1/calls/{call.id}/applications", self.number * 100_000
        bodies = [_within(call, dossier(first + number)) for number in range(self.applications)]
        requests = [request("POST", path, body, Idempotency_Key=f"key-{number}") for number, body in enumerate(bodies)]
        answers = await ask_well(self.whole.urls["intake"], requests)
        return [each.document["application_id"] for each in answers]

    async def _instruct(self, call: Call, ids: list[str]) -> None:
        """The round closes, and an officer answers every check of every application."""
        self.whole.move_clock(call.rounds[0].closes_at + timedelta(hours=1))
        body = {"checks": {each.id: True for each in call.admissibility}, "reason": ""}
        await self._until_review(call, lambda shown: shown["closed_at"] and not _lacks_applications(shown))
        requests = [
            request("POST", f"/api/v1/applications/{each}/admissibility", body, self.whole.tokens["officer"])
            for each in ids
        ]
        await ask_well(self.whole.urls["review"], requests)
        await self._until_review(call, lambda shown: shown["planned_at"])

    async def _evaluate(self, call: Call, numbers: dict[str, int]) -> None:
        """Every reviewer declares no conflict, evaluates and submits, everywhere where they have a place."""
        places = [place for name in REVIEWERS for place in await self._places(call, name)]
        if len(places) != self.applications * call.rubric.reviewers_per_application:
            raise NotTaken(len(places), b"places are not two for each application")
        for method, path, body in (
            ("POST", "conflict", lambda _: {"kind": "none", "reason": ""}),
            ("PUT", "evaluation", lambda each: evaluation_of(call, numbers[each])),
            ("POST", "evaluation/submit", lambda _: None),
        ):
            requests = [
                request(method, f"/api/v1/applications/{each}/{path}", body(each), self.whole.tokens[name])
                for name, each in places
            ]
            await ask_well(self.whole.urls["review"], requests)

    async def _places(self, call: Call, name: str) -> list[tuple[str, str]]:
        found, following = [], ""
        while following is not None:
            after = f"&after={following}" if following else ""
            page = await self._staff(name, "review", "GET", f"/api/v1/assignments?call_id={call.id}{after}")
            found += [(name, item["application_id"]) for item in page["items"]]
            following = page["next"]
        return found

    async def _decide(self, call: Call) -> None:
        """Two people confirm the proposal that funding made when it had everything."""
        address = f"/api/v1/rounds/{call.rounds[0].id}"
        looked = request("GET", f"{address}/ranking", token=self.whole.tokens["chair"])

        async def proposed() -> Any:
            return (await ask_one(self.whole.urls["funding"], looked))["proposal"]

        proposal = await self._until(proposed)
        for name in ("officer", "chair"):
            body = {"proposal": proposal["id"]}
            await self._staff(name, "funding", "POST", f"{address}/decision", body)

    async def _tell(self, call: Call) -> None:
        """The round is announced; the last letter is in the sink, receipts included."""
        self.whole.move_clock(call.rounds[0].announce_at)
        left = self.applications * LETTERS_EACH
        async with asyncio.timeout(WITHIN_S):
            while left > 0:
                left -= len(await self.whole.sink.next_letters(WITHIN_S))
        if left < 0:
            raise NotTaken(-left, b"more letters than applications call for")

    async def _staff(self, name: str, service: str, method: str, path: str, body: Any = None) -> Any:
        return await ask_one(self.whole.urls[service], request(method, path, body, self.whole.tokens[name]))

    async def _until_review(self, call: Call, holds: Callable[[dict[str, Any]], Any]) -> None:
        looked = request("GET", f"/api/v1/rounds/{call.rounds[0].id}/progress", token=self.whole.tokens["chair"])

        async def look() -> Any:
            return holds(await ask_one(self.whole.urls["review"], looked))

        await self._until(look)

    async def _until(self, look: Callable[[], Awaitable[Any]]) -> Any:
        async with asyncio.timeout(WITHIN_S):
            while not (found := await look()):
                await asyncio.sleep(LOOK_AGAIN_S)
        return found


def _within(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """A dossier whose project lies in the call's calendar."""
    starts = call.rounds[0].announce_at.date() + timedelta(days=30)
    calendar = {"starts_on": starts.isoformat(), "ends_on": (starts + timedelta(days=300)).isoformat()}
    return body | {"project": body["project"] | calendar}


def _lacks_applications(shown: dict[str, Any]) -> bool:
    return bool({"closing", "applications", "matching_applications"} & set(shown["waits_for"]))
