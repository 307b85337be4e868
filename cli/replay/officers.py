"""Owns what officers and those who decide do: publish, check admissibility, confirm a proposal, follow the grants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cli.replay.applicants import Applicants
from cli.replay.doors import Doors, Refused, about, together
from cli.replay.story import Act, Dossier, Story


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a grant: from which state, at which address, under which date. Repeated, it changes nothing."""

    state: str
    path: str
    date: str


STEPS = {
    "sign": Step("accepted", "convention", "signed_on"),
    "start": Step("committed", "start", "started_on"),
    "complete": Step("started", "complete", "completed_on"),
}
PROPOSALS_AT_MOST = 5
"""How often a decision is tried again when a newer proposal came between reading and confirming."""


class Undecidable(Exception):
    """A round is to be decided that has no proposal yet; the message says what it waits for."""


@dataclass
class Officers:
    """The funder's staff in one story."""

    story: Story
    doors: Doors
    applicants: Applicants

    async def publish(self, act: Act) -> None:
        """The administrator publishes the call. Raises Refused."""
        body = self.story.call.model_dump(mode="json")
        await self.doors.staff(act.by or "admin", "intake", "PUT", f"/api/v1/calls/{self.story.call.id}", body)

    async def check(self, act: Act) -> None:
        """Every application of the round that stands gets every check. Raises Refused."""
        await together(lambda each: self._check(act, each), self._standing(act))

    async def refuse(self, act: Act) -> None:
        """Only what is inadmissible gets an officer's checks; review admits the others by itself. Raises Refused."""
        refused = [each for each in self._standing(act) if each.dossier in self.story.inadmissible]
        await together(lambda each: self._check(act, each), refused)

    async def decide(self, act: Act) -> None:
        """Confirm the round's latest proposal, first or second person alike. Raises Refused."""
        subject, address = act.by or "chair", f"/api/v1/rounds/{act.round}"
        for attempt in range(PROPOSALS_AT_MOST):
            ranking = await self.doors.staff(subject, "funding", "GET", f"{address}/ranking")
            proposal = ranking["proposal"]
            if proposal is None:
                raise Undecidable(f"{act.round} cannot be decided: it waits for {', '.join(ranking['waits_for'])}.")
            if ranking["stale"]:
                proposal = await self.doors.staff(subject, "funding", "POST", f"{address}/proposal", {"moves": []})
            try:
                await self.doors.staff(subject, "funding", "POST", f"{address}/decision", {"proposal": proposal["id"]})
            except Refused as refused:
                if refused.code != "proposal_stale" or attempt + 1 == PROPOSALS_AT_MOST:
                    raise
            else:
                return

    async def follow(self, act: Act) -> None:
        """Sign, start or complete, dated that day, every grant of the round that has come so far. Raises Refused."""
        step, subject = STEPS[act.act], act.by or "officer"
        day = act.at.astimezone(self.story.call.zone).date().isoformat()
        wanted = {self.applicants.receipts[name].application_id for name in act.dossiers}
        grants = self.doors.pages(subject, "funding", f"/api/v1/calls/{self.story.call.id}/grants", "grants")
        ready = [
            each["grant_id"]
            async for each in grants
            if each["round_id"] == act.round
            and (each["state"] == step.state or each[step.date] == day)
            and (not wanted or each["application_id"] in wanted)
        ]

        async def take(grant_id: str) -> None:
            await self.doors.staff(
                subject, "funding", "POST", f"/api/v1/grants/{grant_id}/{step.path}", {step.date: day}
            )

        await together(take, ready)

    async def _check(self, act: Act, dossier: Dossier) -> None:
        refusal = self.story.inadmissible.get(dossier.dossier)
        fails = refusal.fails if refusal else ()
        body: dict[str, Any] = {
            "checks": {check.id: check.id not in fails for check in self.story.call.admissibility},
            "reason": refusal.reason if refusal else "",
        }
        address = f"/api/v1/applications/{self.applicants.receipts[dossier.dossier].application_id}/admissibility"
        with about(f"dossier {dossier.dossier}"):
            await self.doors.staff(act.by or "officer", "review", "POST", address, body)

    def _standing(self, act: Act) -> list[Dossier]:
        """Whose application was not withdrawn before the act."""
        return [
            each for each in self.story.members(act.round or "") if each.withdraws is None or each.withdraws.at > act.at
        ]
