"""Owns what review says: admissibility and scores; never anything about the applicant."""

from decimal import Decimal
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from shared.events.base import ApplicationEvent, Name, PositiveEuros

Points = Annotated[Decimal, Field(ge=0, le=100)]
"""A score of 0 to 100, two decimals, a string on the wire."""


class ApplicationAdmitted(ApplicationEvent):
    """Every admissibility check is yes."""

    topic: ClassVar[str] = "review.scores"

    checks: dict[Name, bool]


class ApplicationInadmissible(ApplicationEvent):
    """A check is no; the application ends, sealed until it may be told."""

    topic: ClassVar[str] = "review.scores"

    checks: dict[Name, bool]
    reason: str


class Scored(ApplicationEvent):
    """Enough evaluations agree, or the chair arbitrated. Criteria without a mark have no mean."""

    topic: ClassVar[str] = "review.scores"

    revision: int = Field(ge=1)
    score: Points
    basis: Literal["agreed", "further", "arbitrated"]
    criteria: dict[Name, Decimal]
    evaluations: int = Field(ge=0)
    spread: Decimal
    recommended_eur: PositiveEuros | None = None
    formula_version: int


class ScoreVoided(ApplicationEvent):
    """The score of that revision no longer stands, and why; another may follow."""

    topic: ClassVar[str] = "review.scores"

    revision: int = Field(ge=1)
    reason: str
