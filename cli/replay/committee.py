"""Owns what the selection committee does: members declare, evaluate and submit; the chair lists, waives, arbitrates.

Which application a reviewer has is review's decision; what is found there is the folder's, by application and slot.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from cli.replay.applicants import Applicants
from cli.replay.doors import Doors, about, together
from cli.replay.mistakes import FolderBroken
from cli.replay.story import Act, Opinion, Story

CHAIR = "chair"
UNDECLARED = "to_declare"
READY = frozenset({"to_do", "in_progress"})
IN_CONFLICT = "conflict"
TO_ARBITRATE = "to_arbitrate"


@dataclass(frozen=True, slots=True)
class Assignment:
    """One reviewer's place on one application, as the reviewer's own list shows it."""

    subject: str
    application_id: str
    dossier: str
    slot: int
    state: str


@dataclass
class Committee:
    """The committee of one story. `settle` waits until nothing is left to do."""

    story: Story
    doors: Doors
    applicants: Applicants
    settle: Callable[[], Awaitable[Any]]

    async def list_reviewers(self, act: Act) -> None:
        """The chair sets the committee. Raises Refused."""
        body = [each.model_dump(mode="json") for each in self.story.reviewers]
        await self._chair(act, "PUT", f"/api/v1/calls/{self.story.call.id}/reviewers", body)

    async def declare(self, act: Act) -> None:
        """Every reviewer declares on every assignment that waits for it, replacements included. Raises Refused."""
        while pending := [each for each in await self.assignments(act) if each.state == UNDECLARED]:
            await together(self._declare, pending)
            await self.settle()

    async def waive(self, act: Act) -> None:
        """The chair lets the declared soft conflicts pass that the folder has a reason for. Raises Refused."""
        for each in await self.assignments(act):
            conflict = self.story.conflicts.get(each.dossier, {}).get(each.slot)
            if each.state == IN_CONFLICT and conflict is not None and conflict.waiver is not None:
                body = {"subject": each.subject, "reason": conflict.waiver}
                await self._chair(act, "POST", f"/api/v1/applications/{each.application_id}/waive", body)

    async def evaluate(self, act: Act) -> None:
        """Every reviewer evaluates what is theirs (of the act's slots), until nobody is asked again. Raises Refused."""
        while True:
            await self.declare(act)
            pending = [each for each in await self.assignments(act) if each.state in READY]
            if not pending:
                return
            await together(self._evaluate, pending)
            await self.settle()

    async def arbitrate(self, act: Act) -> None:
        """The chair decides where opinions stay apart. Raises Refused."""
        address, names = f"/api/v1/rounds/{act.round}/progress?state={TO_ARBITRATE}", self._names()
        apart = self.doors.pages(act.by or CHAIR, "review", address, "applications")
        for application_id in [each["application_id"] async for each in apart]:
            dossier = names[application_id]
            found = self._opinion(dossier, CHAIR)
            body = {
                "marks": {name: mark.model_dump() for name, mark in found.marks.items()},
                "recommended_eur": self._recommended_eur(dossier, found),
                "reason": found.comment,
            }
            await self._chair(act, "POST", f"/api/v1/applications/{application_id}/arbitrate", body)

    async def assignments(self, act: Act) -> list[Assignment]:
        """The act's assignments from the reviewers' own lists. Raises Refused."""
        names, found = self._names(), list[Assignment]()
        address = f"/api/v1/assignments?call_id={self.story.call.id}&round_id={act.round}"

        async def look(subject: str) -> None:
            async for item in self.doors.pages(subject, "review", address):
                dossier = names[item["application_id"]]
                if not act.slots or item["slot"] in act.slots:
                    found.append(Assignment(subject, item["application_id"], dossier, item["slot"], item["state"]))

        await together(look, [each.subject for each in self.story.reviewers])
        return found

    async def _declare(self, each: Assignment) -> None:
        conflict = self.story.conflicts.get(each.dossier, {}).get(each.slot)
        body = {"kind": conflict.kind if conflict else "none", "reason": conflict.reason if conflict else ""}
        await self._reviewer(each, "POST", "/conflict", body)

    async def _evaluate(self, each: Assignment) -> None:
        opinion = self._opinion(each.dossier, each.slot)
        body = {**opinion.model_dump(mode="json"), "recommended_eur": self._recommended_eur(each.dossier, opinion)}
        await self._reviewer(each, "PUT", "/evaluation", body)
        await self._reviewer(each, "POST", "/evaluation/submit")

    def _opinion(self, dossier: str, slot: Any) -> Opinion:
        try:
            return self.story.opinions[dossier][slot]
        except KeyError:
            raise FolderBroken(f"marks.yaml has nothing for {dossier}, slot {slot}, which review asks for") from None

    def _recommended_eur(self, dossier: str, opinion: Opinion) -> int | None:
        """Nobody recommends more than was asked for, whoever's marks these were before an exchange."""
        if opinion.recommended_eur is None:
            return None
        requested = next(each.project["requested_eur"] for each in self.story.dossiers if each.dossier == dossier)
        return min(opinion.recommended_eur, int(requested))

    def _names(self) -> dict[str, str]:
        return {receipt.application_id: dossier for dossier, receipt in self.applicants.receipts.items()}

    async def _reviewer(self, each: Assignment, method: str, path: str, body: Any = None) -> None:
        address = f"/api/v1/applications/{each.application_id}{path}"
        with about(f"dossier {each.dossier}, slot {each.slot}"):
            await self.doors.staff(each.subject, "review", method, address, body)

    async def _chair(self, act: Act, method: str, path: str, body: Any) -> None:
        await self.doors.staff(act.by or CHAIR, "review", method, path, body)
