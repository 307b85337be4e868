"""Owns the rows of evaluations, arbitrations and scores: marks are history, a row is added and never changed."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from services.review.domain.evaluation import Evaluation, Mark
from services.review.domain.scoring import Opinion, Score
from shared.db import Transaction

SAVE = """
WITH next AS (
    UPDATE assignment SET versions = versions + 1, state = 'in_progress'
    WHERE application_id = CAST(:id AS uuid) AND slot = :slot RETURNING application_id, slot, versions
)
INSERT INTO evaluation_version (application_id, slot, version, content, saved_at)
SELECT application_id, slot, versions, CAST(:content AS jsonb), :at FROM next RETURNING version
"""
LATEST = """
SELECT version, CAST(content AS text) AS content, saved_at FROM evaluation_version
WHERE application_id = CAST(:id AS uuid) AND slot = :slot ORDER BY version DESC LIMIT 1
"""
SUBMIT = """
UPDATE assignment SET state = 'done', submitted_version = versions, submitted_at = :at
WHERE application_id = CAST(:id AS uuid) AND slot = :slot
"""
SUBMITTED = """
SELECT a.slot, a.subject, e.version, CAST(e.content AS text) AS content, a.submitted_at
FROM assignment AS a
JOIN evaluation_version AS e
    ON e.application_id = a.application_id AND e.slot = a.slot
    AND e.version = CASE WHEN a.slot = :also THEN a.versions ELSE a.submitted_version END
WHERE a.application_id = CAST(:id AS uuid) ORDER BY a.slot
"""
ARBITRATE = """
INSERT INTO arbitration (application_id, number, content, arbitrated_by, arbitrated_at)
SELECT CAST(:id AS uuid), count(*) + 1, CAST(:content AS jsonb), :by, :at
FROM arbitration WHERE application_id = CAST(:id AS uuid)
"""
ARBITRATION = """
SELECT CAST(content AS text) AS content, arbitrated_by, arbitrated_at FROM arbitration
WHERE application_id = CAST(:id AS uuid) AND voided_at IS NULL
"""
VOID_ARBITRATION = """
UPDATE arbitration SET voided_at = :at WHERE application_id = CAST(:id AS uuid) AND voided_at IS NULL
"""
SAVE_SCORE = """
INSERT INTO score (application_id, revision, content, scored_at)
VALUES (CAST(:id AS uuid), :revision, CAST(:content AS jsonb), :at)
"""
STANDING = """
SELECT revision, CAST(content AS text) AS content FROM score
WHERE application_id = CAST(:id AS uuid) AND voided_at IS NULL
"""
VOID_SCORE = """
UPDATE score SET voided_at = :at, void_reason = :reason
WHERE application_id = CAST(:id AS uuid) AND voided_at IS NULL RETURNING revision
"""
ARBITER = 0
"""The slot of the chair's own marks: no reviewer has it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A stored version of an evaluation."""

    version: int
    evaluation: Evaluation
    saved_at: datetime


@dataclass(frozen=True, slots=True)
class Submitted:
    """An evaluation that counts, or would."""

    slot: int
    subject: str
    version: int
    evaluation: Evaluation
    submitted_at: datetime | None
    """None of one that is about to be submitted."""

    @property
    def opinion(self) -> Opinion:
        """What the score takes from it."""
        return opinion_of(self.slot, self.evaluation)


@dataclass(frozen=True, slots=True)
class Arbitration:
    """The chair's marks, which stand in place of the means; its `comment` is the chair's reason."""

    evaluation: Evaluation
    arbitrated_by: str
    arbitrated_at: datetime


def opinion_of(slot: int, evaluation: Evaluation) -> Opinion:
    """What the score takes from an evaluation."""
    marks = {name: mark.value for name, mark in evaluation.marks.items()}
    return Opinion(slot, marks, evaluation.recommended_eur)


def _read(content: str) -> Evaluation:
    fields: dict[str, Any] = json.loads(content)
    return Evaluation(**{**fields, "marks": {name: Mark(**mark) for name, mark in fields["marks"].items()}})


def _content(value: Evaluation | Score) -> str:
    return json.dumps(asdict(value), default=str, ensure_ascii=False)


async def save_version(tx: Transaction, application_id: str, slot: int, evaluation: Evaluation, at: datetime) -> int:
    """Add a version; its number."""
    return int(await tx.fetch_value(SAVE, id=application_id, slot=slot, content=_content(evaluation), at=at))


async def latest(tx: Transaction, application_id: str, slot: int) -> Kept | None:
    """The latest version of a place's evaluation."""
    row = await tx.fetch_one(LATEST, id=application_id, slot=slot)
    return Kept(row["version"], _read(row["content"]), row["saved_at"]) if row else None


async def submit(tx: Transaction, application_id: str, slot: int, at: datetime) -> None:
    """Let the latest version count, and lock it."""
    await tx.execute(SUBMIT, id=application_id, slot=slot, at=at)


async def submitted_on(tx: Transaction, application_id: str, also: int = ARBITER) -> list[Submitted]:
    """The submitted evaluations of an application that were not voided, by slot; `also` a slot's latest marks."""
    rows = await tx.fetch_all(SUBMITTED, id=application_id, also=also)
    return [
        Submitted(row["slot"], row["subject"], row["version"], _read(row["content"]), row["submitted_at"])
        for row in rows
    ]


async def arbitrate(tx: Transaction, application_id: str, evaluation: Evaluation, by: str, at: datetime) -> None:
    """Keep the chair's marks."""
    await tx.execute(ARBITRATE, id=application_id, content=_content(evaluation), by=by, at=at)


async def arbitration_of(tx: Transaction, application_id: str) -> Arbitration | None:
    """The arbitration that stands."""
    row = await tx.fetch_one(ARBITRATION, id=application_id)
    return Arbitration(_read(row["content"]), row["arbitrated_by"], row["arbitrated_at"]) if row else None


async def void_arbitration(tx: Transaction, application_id: str, at: datetime) -> None:
    """An evaluation that it rested on was voided."""
    await tx.execute(VOID_ARBITRATION, id=application_id, at=at)


async def save_score(tx: Transaction, application_id: str, revision: int, score: Score, at: datetime) -> None:
    """Keep a score beside the voided ones."""
    await tx.execute(SAVE_SCORE, id=application_id, revision=revision, content=_content(score), at=at)


async def void_score(tx: Transaction, application_id: str, reason: str, at: datetime) -> int | None:
    """Void the score that stands; its revision, or None if none does."""
    revision = await tx.fetch_value(VOID_SCORE, id=application_id, reason=reason, at=at)
    return None if revision is None else int(revision)


async def standing_score(tx: Transaction, application_id: str) -> tuple[int, Mapping[str, Any]] | None:
    """The revision and the content of the score that stands."""
    row = await tx.fetch_one(STANDING, id=application_id)
    return (row["revision"], json.loads(row["content"], parse_float=Decimal)) if row else None
