"""Owns admissibility: the built-in checks and what an officer's answers decide (`docs/design.md` §7, Instruct).

A machine's result only prefills; it never makes an application inadmissible.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

from services.review.domain.refusals import Invalid, WrongField


@dataclass(frozen=True, slots=True)
class Check:
    """One yes/no check of the call; `machine` names the built-in check that prefills it."""

    id: str
    machine: str | None


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a call asks of an application. `kinds` says of each allowed kind whether it needs a partner."""

    checks: tuple[Check, ...]
    kinds: Mapping[str, bool]
    themes: frozenset[str]
    min_eur: int
    max_eur: int
    ends_by: date
    applications_per_organisation: int

    @property
    def counts_organisations(self) -> bool:
        """Whether a check compares an application with the others of its organisation."""
        return any(check.machine == PER_ORGANISATION for check in self.checks)


@dataclass(frozen=True, slots=True)
class Deposit:
    """What the built-in checks look at.

    `place` is its rank, from 1, by (`submitted_at`, id) among its SIRET's applications that are not withdrawn; None
    while some that came before it may be missing.
    """

    kind: str
    has_partner: bool
    themes: frozenset[str]
    requested_eur: int
    starts_on: date
    ends_on: date
    place: int | None


@dataclass(frozen=True, slots=True)
class Admitted:
    """Every check is yes."""

    checks: Mapping[str, bool]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Inadmissible:
    """A check is no; `reason` is told to the applicant."""

    checks: Mapping[str, bool]
    reason: str


def _place_is_within(deposit: Deposit, conditions: Conditions) -> bool | None:
    return None if deposit.place is None else deposit.place <= conditions.applications_per_organisation


def _kind_allowed(deposit: Deposit, conditions: Conditions) -> bool:
    needs_partner = conditions.kinds.get(deposit.kind)
    return needs_partner is not None and (deposit.has_partner or not needs_partner)


PER_ORGANISATION = "applications_per_organisation"
MACHINES: Mapping[str, Callable[[Deposit, Conditions], bool | None]] = {
    PER_ORGANISATION: _place_is_within,
    "kind_allowed": _kind_allowed,
    "amount_in_bounds": lambda deposit, call: call.min_eur <= deposit.requested_eur <= call.max_eur,
    "dates_in_calendar": lambda deposit, call: deposit.starts_on <= deposit.ends_on <= call.ends_by,
    "theme_present": lambda deposit, call: not deposit.themes.isdisjoint(call.themes),
    # Nobody can submit without declaring it, so an application that is here has declared it.
    "declared_not_in_use": lambda _deposit, _call: True,
}
"""The built-in checks by the name that a call file gives; None means not known yet."""


def prefill(deposit: Deposit, conditions: Conditions) -> dict[str, bool | None]:
    """What the machine says of each check of the call: yes, no, or None where it cannot say (yet)."""
    return {
        check.id: None if check.machine is None else MACHINES[check.machine](deposit, conditions)
        for check in conditions.checks
    }


def admits_by_itself(deposit: Deposit, conditions: Conditions) -> Admitted | None:
    """Admission without an officer: only where every check is a machine's and says yes."""
    results = prefill(deposit, conditions)
    return Admitted(dict.fromkeys(results, True)) if all(results.values()) else None


def decide_admissibility(
    conditions: Conditions, checks: Mapping[str, bool], reason: str
) -> Admitted | Inadmissible | Invalid:
    """What an officer's answers mean: every check of the call must be answered, and a no needs a reason."""
    wanted = [check.id for check in conditions.checks]
    errors = [WrongField(f"checks.{name}", "This check is not answered.") for name in wanted if name not in checks]
    errors += [WrongField(f"checks.{name}", "The call has no such check.") for name in checks if name not in wanted]
    refused = not all(checks.values())
    if refused and not reason:
        errors.append(WrongField("reason", "A check that is answered no needs a reason."))
    if errors:
        return Invalid(tuple(errors))
    ordered = {name: checks[name] for name in wanted}
    return Inadmissible(ordered, reason) if refused else Admitted(ordered, reason)
