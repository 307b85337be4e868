"""Owns the envelope as the topic alone tells it: balances at every instant by `ledger_entry`; it moves no money.

Entry 1 is the envelope itself; a grant is reserved, then committed, then perhaps released (`docs/design.md` §8.3).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from shared.events.funding import ConventionSigned, EnvelopeSet, GrantAwarded, GrantReleased
from shared.history.recorded import History, Recorded

Moving = EnvelopeSet | GrantAwarded | ConventionSigned | GrantReleased


@dataclass(frozen=True, slots=True)
class Movement:
    """One ledger entry and the event that tells it."""

    entry: int
    fact: Moving
    recorded: Recorded


@dataclass(frozen=True, slots=True)
class Balance:
    """An envelope after an entry, whole euros; `available_eur` below zero means overdrawn."""

    entry: int = 0
    envelope_eur: int = 0
    reserved_eur: int = 0
    committed_eur: int = 0

    @property
    def held_eur(self) -> int:
        """Reserved and committed together."""
        return self.reserved_eur + self.committed_eur

    @property
    def available_eur(self) -> int:
        """What may still be reserved."""
        return self.envelope_eur - self.held_eur


@dataclass(frozen=True, slots=True)
class Step:
    """A balance after one movement, and what is wrong with that movement, None if nothing is."""

    movement: Movement
    balance: Balance
    wrong: str | None = None


def movements(history: History) -> dict[str, list[Movement]]:
    """The ledger entries of each call, in their order, read from the events of `funding.grants`."""
    by_call: dict[str, list[Movement]] = defaultdict(list)
    for recorded in history.events:
        fact = recorded.event
        if isinstance(fact, Moving):
            by_call[fact.call_id].append(Movement(fact.ledger_entry, fact, recorded))
    return {call_id: sorted(moved, key=lambda movement: movement.entry) for call_id, moved in by_call.items()}


def recompute(moved: Sequence[Movement]) -> Iterable[Step]:
    """The balance after each entry of one call, from nothing."""
    balance = Balance()
    held: dict[str, tuple[int, bool]] = {}
    for movement in moved:
        wrong = _impossible(movement.fact, held)
        balance = replace(_moved(balance, movement.fact, held), entry=movement.entry)
        yield Step(movement, balance, wrong)


def balance_of(history: History, call_id: str) -> Balance:
    """The last balance of a call; empty if funding has not set its envelope."""
    balance = Balance()
    for step in recompute(movements(history).get(call_id, [])):
        balance = step.balance
    return balance


def _impossible(fact: Moving, held: dict[str, tuple[int, bool]]) -> str | None:
    """Why a movement cannot follow from what is held: grants are held once, committed once and released whole."""
    if isinstance(fact, EnvelopeSet):
        return None
    holding = held.get(fact.grant_id)
    if isinstance(fact, GrantAwarded):
        return None if holding is None else "reserves a grant that is held already"
    if holding is None:
        return "moves a grant that is not held"
    amount, committed = holding
    if amount != fact.amount_eur:
        return f"moves {fact.amount_eur} € of a grant of {amount} €"
    if isinstance(fact, ConventionSigned) and committed:
        return "commits a grant that is committed already"
    return None


def _moved(balance: Balance, fact: Moving, held: dict[str, tuple[int, bool]]) -> Balance:
    if isinstance(fact, EnvelopeSet):
        return replace(balance, envelope_eur=fact.envelope_eur)
    if isinstance(fact, GrantAwarded):
        held[fact.grant_id] = (fact.amount_eur, False)
        return replace(balance, reserved_eur=balance.reserved_eur + fact.amount_eur)
    if isinstance(fact, ConventionSigned):
        held[fact.grant_id] = (fact.amount_eur, True)
        return replace(
            balance,
            reserved_eur=balance.reserved_eur - fact.amount_eur,
            committed_eur=balance.committed_eur + fact.amount_eur,
        )
    _, committed = held.pop(fact.grant_id, (0, False))
    if committed:
        return replace(balance, committed_eur=balance.committed_eur - fact.amount_eur)
    return replace(balance, reserved_eur=balance.reserved_eur - fact.amount_eur)
