"""A whole declared story through review: its scores are those of a second, independent reckoning."""

import hashlib
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from shared.events.call import Call
from shared.events.intake import ApplicationSubmitted, ApplicationWithdrawn, RoundClosed
from shared.ids import new_id
from shared.migrate import ROOT
from tests.builders_review import Review, a_review, published
from tests.databases import Databases
from tests.reckoning import judge, load, round_of

STORY = "short-money"


def submitted(call: Call, application: dict[str, Any], application_id: str, round_id: str) -> ApplicationSubmitted:
    project = {"answers": {}, "publics": [], **application["project"]}
    return ApplicationSubmitted.model_validate({
        "occurred_at": application["submitted_at"], "call_id": call.id, "call_version": call.version,
        "round_id": round_id, "application_id": application_id, "reference": application["dossier"],
        "applicant_id": new_id(), "organisation": application["organisation"], "project": project,
        "submitted_at": application["submitted_at"],
    })  # fmt: skip


def closed(call: Call, round_id: str, ids: list[str]) -> RoundClosed:
    at = call.round(round_id).closes_at
    digest = hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()
    return RoundClosed(
        occurred_at=at, call_id=call.id, call_version=call.version, round_id=round_id, closed_at=at,
        submitted=len(ids), applications_sha256=digest,
    )  # fmt: skip


class Story:
    """The people of a data folder at review's doors."""

    def __init__(self, review: Review, folder: Path) -> None:
        self.review = review
        self.facts = load(folder)
        self.call = Call.model_validate(self.facts["call"])
        self.applications = self.facts["applications"]["applications"]
        self.ids = {each["dossier"]: new_id() for each in self.applications}
        self.dossiers = {id_: dossier for dossier, id_ in self.ids.items()}
        self.subjects = [each["subject"] for each in self.facts["reviewers"]["reviewers"]]

    async def deposit(self) -> None:
        """Everything that intake says until the rounds are closed and early withdrawals came."""
        await self.review.receive(published(self.call))
        path = f"/calls/{self.call.id}/reviewers"
        await self.review.done("chair", "PUT", path, self.facts["reviewers"]["reviewers"])
        for each in self.call.rounds:
            members = [a for a in self.applications if round_of(self.facts["call"], a) == each.id]
            events = [submitted(self.call, a, self.ids[a["dossier"]], each.id) for a in members]
            await self.review.receive(*events, closed(self.call, each.id, [e.application_id for e in events]))
            gone = [a for a in members if a.get("withdraws") and a["withdraws"]["at"] < each.announce_at]
            for application in gone:
                await self.review.receive(
                    ApplicationWithdrawn(
                        occurred_at=application["withdraws"]["at"], call_id=self.call.id,
                        call_version=self.call.version, round_id=each.id,
                        application_id=self.ids[application["dossier"]], reason="…",
                    )
                )  # fmt: skip

    async def instruct(self) -> None:
        """Officers answer every check that the machine could not answer with a yes."""
        refused = self.facts["instruction"]["inadmissible"]
        for each in self.call.rounds:
            page: dict[str, Any] = {"next": ""}
            while page["next"] is not None:
                page = await self.review.done("officer", "GET", f"/rounds/{each.id}/progress?state=to_check")
                for item in page["applications"]:
                    refusal = refused.get(self.dossiers[item["application_id"]], {"fails": [], "reason": ""})
                    checks = {c.id: c.id not in refusal["fails"] for c in self.call.admissibility}
                    body = {"checks": checks, "reason": refusal["reason"]}
                    path = f"/applications/{item['application_id']}/admissibility"
                    await self.review.done("officer", "POST", path, body)

    async def evaluate(self) -> None:
        """Reviewers go on until nobody is asked for anything."""
        while [await self._work(subject) for subject in self.subjects].count(0) < len(self.subjects):
            pass

    async def _work(self, subject: str) -> int:
        page: dict[str, Any] = {"next": ""}
        items = []
        while page["next"] is not None:
            after = f"?after={page['next']}" if page["next"] else ""
            page = await self.review.done(subject, "GET", f"/assignments{after}")
            items += [item for item in page["items"] if item["state"] in ("to_declare", "to_do", "in_progress")]
        for item in items:
            await self._one(subject, item)
        return len(items)

    async def _one(self, subject: str, item: dict[str, Any]) -> None:
        path, dossier, slot = (
            f"/applications/{item['application_id']}",
            self.dossiers[item["application_id"]],
            item["slot"],
        )
        if item["state"] == "to_declare":
            conflict = self.facts["instruction"]["conflicts"].get(dossier, {}).get(slot, {"kind": "none", "reason": ""})
            body = {"kind": conflict["kind"], "reason": conflict["reason"]}
            await self.review.done(subject, "POST", f"{path}/conflict", body)
            if "waiver" in conflict:
                body = {"subject": subject, "reason": conflict["waiver"]}
                await self.review.done("chair", "POST", f"{path}/waive", body)
            return
        body = self.facts["marks"]["evaluations"][dossier][slot]
        await self.review.done(subject, "PUT", f"{path}/evaluation", body)
        await self.review.done(subject, "POST", f"{path}/evaluation/submit")

    async def arbitrate(self) -> None:
        for each in self.call.rounds:
            page = await self.review.done("chair", "GET", f"/rounds/{each.id}/progress?state=to_arbitrate")
            for item in page["applications"]:
                found = self.facts["marks"]["evaluations"][self.dossiers[item["application_id"]]]["chair"]
                body = {
                    "marks": found["marks"],
                    "recommended_eur": found["recommended_eur"],
                    "reason": found["comment"],
                }
                await self.review.done("chair", "POST", f"/applications/{item['application_id']}/arbitrate", body)


async def test_a_storys_scores_are_those_of_an_independent_reckoning(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    review = await a_review(databases, tmp_path, monkeypatch)
    story = Story(review, ROOT / "data" / STORY)
    await story.deposit()
    await story.instruct()
    await story.evaluate()
    await story.arbitrate()
    scored = {story.dossiers[each.application_id]: each for each in await review.events("Scored")}
    inadmissible = {story.dossiers[each.application_id] for each in await review.events("ApplicationInadmissible")}
    assert inadmissible == set(story.facts["instruction"]["inadmissible"])
    for application in story.applications:
        found = scored.get(application["dossier"])
        if found is None:
            assert application["dossier"] in inadmissible or application.get("withdraws")
            continue
        expected = judge(story.facts["call"], application, story.facts["marks"]["evaluations"][application["dossier"]])
        assert (Fraction(found.score), found.basis) == (expected.score, expected.basis), application["dossier"]
        assert {name: round(mean, 10) for name, mean in expected.criteria.items()} == {
            name: Fraction(mean) for name, mean in found.criteria.items()
        }
    loads = await review.rows("SELECT round_id, max(places) - min(places) AS gap FROM reviewer_load GROUP BY round_id")
    assert all(Decimal(row["gap"]) <= 2 for row in loads)
