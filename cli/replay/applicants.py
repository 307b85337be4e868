"""Owns what applicants do: submit, look at their status, answer an offer, withdraw; each with their own token."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cli.replay.doors import Doors, about, together
from cli.replay.story import Dossier, Story
from cli.verify import Answer

OFFERED = frozenset({"awarded", "accepted", "committed", "started", "completed"})
"""States in which accepting is a first or a repeated answer; the repetition changes nothing."""
DECLINABLE = frozenset({"awarded", "declined"})


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an applicant holds after submitting."""

    application_id: str
    reference: str
    token: str


@dataclass
class Applicants:
    """The applicants of one story."""

    story: Story
    doors: Doors
    receipts: dict[str, Receipt] = field(default_factory=dict)
    """By dossier, from the first answer on."""

    async def submit(self, dossier: Dossier) -> None:
        """Deposit the application; repeated, it gets the first answer again. Raises Refused."""
        with about(f"dossier {dossier.dossier}"):
            answer = await self.doors.call(
                "intake", "POST", f"/api/v1/calls/{self.story.call.id}/applications", body=dossier.body,
                headers={"Idempotency-Key": self.story.key(dossier.dossier, "submit")},
            )  # fmt: skip
        self.receipts[dossier.dossier] = Receipt(answer["application_id"], answer["reference"], answer["access_token"])

    @property
    def answers(self) -> list[Answer]:
        """What every applicant was answered."""
        dossiers = {each.dossier: each for each in self.story.dossiers}
        return [
            Answer(
                self.story.call.id, self.story.key(name, "submit"), dossiers[name].project["title"], 201,
                held.application_id, held.reference, held.token,
            )
            for name, held in self.receipts.items()
        ]  # fmt: skip

    async def withdraw(self, dossier: Dossier) -> None:
        """Withdraw with the folder's reason. Raises Refused."""
        if dossier.withdraws is not None:
            await self._ask(dossier, "POST", "/withdraw", {"reason": dossier.withdraws.reason})

    async def accept(self, dossiers: list[Dossier]) -> None:
        """Whoever holds an offer and means to accept it does. Raises Refused."""
        await together(self._accept, [each for each in dossiers if each.offer == "accept"])

    async def decline(self, dossiers: list[Dossier]) -> None:
        """Whoever holds an offer and means to decline it does. Raises Refused."""
        await together(self._decline, [each for each in dossiers if each.offer == "decline"])

    async def _accept(self, dossier: Dossier) -> None:
        if await self._status(dossier) in OFFERED:
            await self._ask(dossier, "POST", "/accept")

    async def _decline(self, dossier: Dossier) -> None:
        if await self._status(dossier) in DECLINABLE:
            await self._ask(dossier, "POST", "/decline")

    async def _status(self, dossier: Dossier) -> str:
        return str((await self._ask(dossier, "GET", ""))["status"])

    async def _ask(self, dossier: Dossier, method: str, path: str, body: Any = None) -> Any:
        held = self.receipts[dossier.dossier]
        headers = {} if method == "GET" else {"Idempotency-Key": self.story.key(dossier.dossier, path.strip("/"))}
        address = f"/api/v1/applications/{held.application_id}{path}"
        with about(f"dossier {dossier.dossier}"):
            return await self.doors.call("intake", method, address, held.token, body, headers)
