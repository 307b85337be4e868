"""Owns what may happen to a call's money: reserve, and change the total; it never lets an account go below zero.

The ledger in the database enforces the same a second time (`docs/design.md` §8.3); this module decides.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

Shortfall = Literal["stop", "skip", "reduce"]
ShortReason = Literal["envelope_short", "envelope_frozen"]


@dataclass(frozen=True, slots=True)
class Envelope:
    """The three accounts of a call, whole euros. A frozen envelope takes no new reservation, and that is all."""

    available_eur: int
    reserved_eur: int = 0
    committed_eur: int = 0
    frozen: bool = False

    def __post_init__(self) -> None:
        if min(self.available_eur, self.reserved_eur, self.committed_eur) < 0:
            raise AccountBelowZero(self.available_eur, self.reserved_eur, self.committed_eur)

    @property
    def total_eur(self) -> int:
        """The envelope itself: all accounts together."""
        return self.available_eur + self.reserved_eur + self.committed_eur

    def with_reserved(self, amount_eur: int) -> "Envelope":
        """The envelope after a reservation. Raises AccountBelowZero."""
        return replace(self, available_eur=self.available_eur - amount_eur, reserved_eur=self.reserved_eur + amount_eur)


class AccountBelowZero(Exception):
    """A movement would take more than an account holds; data: what the accounts would be."""

    def __init__(self, available_eur: int, reserved_eur: int, committed_eur: int) -> None:
        super().__init__(f"available {available_eur}, reserved {reserved_eur}, committed {committed_eur} €")
        self.available_eur, self.reserved_eur, self.committed_eur = available_eur, reserved_eur, committed_eur


@dataclass(frozen=True, slots=True)
class Claim:
    """What an application would be awarded if the money suffices, whole euros."""

    application_id: str
    amount_eur: int


@dataclass(frozen=True, slots=True)
class Reserved:
    """Money is held for the application: its claim, or what was left of the envelope under `reduce`."""

    application_id: str
    amount_eur: int


@dataclass(frozen=True, slots=True)
class Short:
    """The claim waits, and why; `missing_eur` is what it lacked."""

    application_id: str
    missing_eur: int
    reason: ShortReason = "envelope_short"


def reserve(envelope: Envelope, claim: Claim) -> tuple[Envelope, Reserved | Short]:
    """Reserve the whole claim, or say by how much the envelope is short."""
    missing = max(claim.amount_eur - envelope.available_eur, 0)
    if envelope.frozen:
        return envelope, Short(claim.application_id, missing, "envelope_frozen")
    if missing:
        return envelope, Short(claim.application_id, missing)
    return envelope.with_reserved(claim.amount_eur), Reserved(claim.application_id, claim.amount_eur)


def allocate(
    envelope: Envelope, claims: Iterable[Claim], shortfall: Shortfall, min_eur: int
) -> tuple[Envelope, list[Reserved | Short]]:
    """Serve claims in their order by the call's policy (`docs/design.md` §7, Decide); one answer for each claim.

    `stop`: the first that does not fit and all after it wait. `skip`: only those that do not fit wait. `reduce`: the
    first that does not fit is offered what is left if that is at least `min_eur`, then as `stop`.
    """
    answers: list[Reserved | Short] = []
    stopped = False
    for claim in claims:
        if stopped:
            missing = max(claim.amount_eur - envelope.available_eur, 0)
            answers.append(Short(claim.application_id, missing))
            continue
        after, answer = reserve(envelope, claim)
        if isinstance(answer, Short) and not envelope.frozen and shortfall != "skip":
            stopped = True
            if shortfall == "reduce" and envelope.available_eur >= min_eur:
                after, answer = reserve(envelope, Claim(claim.application_id, envelope.available_eur))
        envelope = after
        answers.append(answer)
    return envelope, answers


@dataclass(frozen=True, slots=True)
class EnvelopeChange:
    """What a new total does now: `moved_eur` into (or, negative, out of) available; `unmet_eur` could not be taken."""

    moved_eur: int
    unmet_eur: int


def change_total(envelope: Envelope, wanted_eur: int) -> EnvelopeChange:
    """Raise or reduce the envelope; a reduction takes at most what is available, the rest is flagged."""
    difference = wanted_eur - envelope.total_eur
    moved = max(difference, -envelope.available_eur)
    return EnvelopeChange(moved, moved - difference)
