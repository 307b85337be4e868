"""Owns the shapes of what officers and chairs ask funding with: values at the edge, never a rule."""

from decimal import Decimal, InvalidOperation
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from shared.events.base import STORABLE, Euros, Id
from shared.events.dates import WrittenDay

LARGEST = 10**15
LONGEST_WEIGHTS = 2000
Points = Annotated[Decimal, Field(ge=0, le=100)]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=2000, strip_whitespace=True), STORABLE]


class Body(BaseModel):
    """What an officer sends; a field that is not known is refused, for it would be lost."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class MoveBody(Body):
    """Put one application directly before another, and why."""

    application_id: Id
    before: Id
    reason: Reason


class ProposalBody(Body):
    """What a proposal is asked with; moves are made in this order."""

    moves: list[MoveBody] = Field(default=[], max_length=200)


class DecisionBody(Body):
    """Which proposal is confirmed."""

    proposal: Id


class ConventionBody(Body):
    """The day of the convention."""

    signed_on: WrittenDay


class StartBody(Body):
    """The project's first day."""

    started_on: WrittenDay


class CompletionBody(Body):
    """The project's last day."""

    completed_on: WrittenDay


class RevocationBody(Body):
    """Why the grant is taken back."""

    reason: Reason


class RankingQuery(Body):
    """A page of a ranking, as it is or "what if"; a misspelt question must not be answered with the ranking as it is.

    `weights` are written criterion:weight, separated by commas.
    """

    after: int = Field(default=0, ge=0, le=LARGEST)
    envelope_eur: Euros | None = None
    pass_mark: Points | None = None
    weights: Annotated[str, Field(max_length=LONGEST_WEIGHTS)] | None = None

    @field_validator("weights")
    @classmethod
    def _readable(cls, text: str | None) -> str | None:
        if text is not None:
            weights_in(text)
        return text

    @property
    def of_criteria(self) -> dict[str, Decimal] | None:
        """The weights by criterion, None where none were asked for."""
        return None if self.weights is None else weights_in(self.weights)


def weights_in(text: str) -> dict[str, Decimal]:
    """Weights as they are written in an address. Raises ValueError."""
    try:
        weights = {name.strip(): Decimal(value) for name, _, value in (each.partition(":") for each in text.split(","))}
    except InvalidOperation:
        weights = {}
    if not weights or not all(value.is_finite() and 0 <= value <= 100 for value in weights.values()):  # noqa: PLR2004
        raise ValueError("Write criterion:weight, separated by commas, 0 to 100.")
    return weights
