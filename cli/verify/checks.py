"""Owns the list of what is verified: the invariants of the topics, and how all else agrees with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from cli.verify import agreement, states
from cli.verify.evidence import Evidence
from shared.history import Finding
from shared.history.invariants import INVARIANTS

Check = Callable[[Evidence], Iterator[Finding]]

CHECKS: Mapping[str, Check] = {
    "every_answer_has_its_event": agreement.every_answer_has_its_event,
    "every_effect_once": agreement.every_effect_once,
    "nothing_left_behind": agreement.nothing_left_behind,
    "ledger_as_recorded": agreement.ledger_as_recorded,
    "index_as_recorded": agreement.index_as_recorded,
    "letters_received_as_recorded": agreement.letters_received_as_recorded,
    "intake_state_follows": states.intake_state_follows,
    "review_state_follows": states.review_state_follows,
    "funding_state_follows": states.funding_state_follows,
    "notify_state_follows": states.notify_state_follows,
    "applicants_see_what_holds": states.applicants_see_what_holds,
}
"""What can only be seen beside the topics, by the name that documents and tables use."""


def verify(evidence: Evidence) -> dict[str, list[Finding]]:
    """The findings of every check by its name, those of the topics first; an empty list means that it holds."""
    found = {name: list(check(evidence.history)) for name, check in INVARIANTS.items()}
    return found | {name: list(check(evidence)) for name, check in CHECKS.items()}
