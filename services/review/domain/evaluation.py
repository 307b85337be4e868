"""Owns what an evaluation must hold to be kept and to be submitted (`docs/design.md` §5 and §7); it keeps nothing."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.review.domain.refusals import WrongField


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark of 0 to 5, None where the criterion does not apply, and why."""

    value: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One reviewer's marks and recommendation, or the chair's (`recommendation` None). Whole euros."""

    marks: Mapping[str, Mark]
    comment: str
    recommendation: str | None
    recommended_eur: int | None


@dataclass(frozen=True, slots=True)
class Frame:
    """What an evaluation of one application must fit: the criteria and the bounds of a recommended amount."""

    criteria: tuple[str, ...]
    min_eur: int
    requested_eur: int


def wrong_in_draft(evaluation: Evaluation, frame: Frame) -> tuple[WrongField, ...]:
    """Everything that may not even be kept. A criterion may still be missing."""
    errors = []
    for name, mark in evaluation.marks.items():
        if name not in frame.criteria:
            errors.append(WrongField(f"marks.{name}", "The call has no such criterion."))
        elif not mark.reason.strip():
            errors.append(WrongField(f"marks.{name}.reason", "Each mark needs a reason."))
    if set(frame.criteria) <= set(evaluation.marks) and not _has_a_mark(evaluation):
        errors.append(WrongField("marks", "At least one criterion must have a mark."))
    amount = evaluation.recommended_eur
    if amount is not None and not frame.min_eur <= amount <= frame.requested_eur:
        message = f"The amount lies between {frame.min_eur} and the {frame.requested_eur} asked for."
        errors.append(WrongField("recommended_eur", message, "amount_out_of_bounds"))
    return tuple(errors)


def wrong_to_submit(evaluation: Evaluation, frame: Frame) -> tuple[WrongField, ...]:
    """Everything that keeps it from counting: every criterion has a mark or "not applicable", not all the latter."""
    missing = [
        WrongField(f"marks.{name}", "This criterion has neither a mark nor a reason why it does not apply.")
        for name in frame.criteria
        if name not in evaluation.marks
    ]
    return (*missing, *wrong_in_draft(evaluation, frame))


def _has_a_mark(evaluation: Evaluation) -> bool:
    return any(mark.value is not None for mark in evaluation.marks.values())
