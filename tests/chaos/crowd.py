"""Applicants in a hurry: bursts of submissions to one long call, repeated until answered, each answer recorded."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx

from cli.verify import Answer
from deploy.local.system import System

BURST = 12
TWICE = 0.3
"""So many submit the same again at the same moment, as who presses a button twice."""
TIRED_AFTER_S = 240.0
NEVER = frozenset({400, 404, 413, 422, 500})
"""Answers that no fault may cause; a 500 is a promise broken."""


@dataclass
class Crowd:
    """The clients of one call; `answers` is what they were told, `wrong` what nobody may be told."""

    system: System
    call_id: str
    body: dict[str, Any]
    chance: random.Random
    answers: list[Answer] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    number: int = 0
    _under_way: set[asyncio.Task[None]] = field(default_factory=set)

    def burst(self) -> None:
        """Submit many at once; nobody waits for them here."""
        for _ in range(BURST):
            self.number += 1
            for _ in range(2 if self.chance.random() < TWICE else 1):
                task = asyncio.create_task(self._submit(self.number))
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)

    async def settled(self) -> None:
        """Wait until everybody has an answer."""
        await asyncio.gather(*self._under_way)

    async def _submit(self, number: int) -> None:
        key, title = f"{self.call_id}:{number}", f"Dossier {number}"
        body = {
            **self.body,
            "contact": {**self.body["contact"], "email": f"porteur-{number}@exemple.example"},
            "project": {**self.body["project"], "title": title},
        }
        answer = Answer(self.call_id, key, title, 0)
        try:
            async with asyncio.timeout(TIRED_AFTER_S), httpx.AsyncClient(timeout=20) as client:
                answer = await self._until_answered(client, key, title, body)
        except TimeoutError:
            self.wrong.append(f"{key} had no answer in {TIRED_AFTER_S:g} s")
        self.answers.append(answer)

    async def _until_answered(self, client: httpx.AsyncClient, key: str, title: str, body: dict[str, Any]) -> Answer:
        url = f"{self.system.services['intake']}/api/v1/calls/{self.call_id}/applications"
        while True:
            try:
                said = await client.post(url, json=body, headers={"Idempotency-Key": key})
            except httpx.HTTPError:  # the process died, or was frozen: nobody knows whether it was stored
                await asyncio.sleep(0.2)
                continue
            self.statuses[said.status_code] += 1
            if said.status_code == httpx.codes.CREATED:
                given = said.json()
                return Answer(self.call_id, key, title, 201, given["application_id"], given["reference"],
                              given["access_token"])  # fmt: skip
            if said.status_code in NEVER:
                self.wrong.append(f"{key} was answered {said.status_code}: {said.text[:200]}")
                return Answer(self.call_id, key, title, said.status_code)
            if said.status_code == httpx.codes.SERVICE_UNAVAILABLE and "retry-after" not in said.headers:
                self.wrong.append(f"{key} was answered 503 without Retry-After")
            await asyncio.sleep(0.2)
