"""Owns the counts that a replay ends with, read from the topics alone; it judges nothing."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from shared.events.intake import ApplicationSubmitted
from shared.history.fold import Application, fold
from shared.history.ledger import balance_of
from shared.history.recorded import History


@dataclass(frozen=True, slots=True)
class LaureateLine:
    """One laureate as the public sees it; `amount_eur` in whole euros."""

    reference: str
    organisation: str
    title: str
    amount_eur: int


@dataclass(frozen=True)
class Summary:
    """One call in numbers, whole euros. `letters` counts distinct Message-IDs that left, by template."""

    submitted: int
    inadmissible: int
    withdrawn: int
    scored: int
    laureates: int
    waitlisted: int
    not_selected: int
    awarded_eur: int
    envelope_eur: int
    remaining_eur: int
    letters: dict[str, int]
    laureate_list: tuple[LaureateLine, ...]

    def document(self) -> dict[str, Any]:
        """The same as plain values for JSON."""
        return {**asdict(self), "laureate_list": [asdict(line) for line in self.laureate_list]}


def summarise(history: History, call_id: str) -> Summary:
    """The counts of one call. Outcomes are those in effect, sealed ones included; laureates only announced ones."""
    of_call = history.of_call(call_id)
    applications = [each for each in fold(of_call).values() if each.submitted is not None]
    statuses = Counter(each.status for each in applications)
    balance = balance_of(of_call, call_id)
    laureates = laureate_list(applications)
    return Summary(
        submitted=len(applications),
        inadmissible=statuses["inadmissible"],
        withdrawn=statuses["withdrawn"],
        scored=sum(each.scored is not None for each in applications),
        laureates=len(laureates),
        waitlisted=statuses["waitlisted"],
        not_selected=statuses["not_selected"],
        awarded_eur=balance.held_eur,
        envelope_eur=balance.envelope_eur,
        remaining_eur=balance.available_eur,
        letters=letters_by_template(applications),
        laureate_list=laureates,
    )


def laureate_list(applications: Iterable[Application]) -> tuple[LaureateLine, ...]:
    """The laureates by reference."""
    lines = [
        _line(each.submitted, each.grant.amount_eur)
        for each in applications
        if each.is_laureate and each.submitted is not None and each.grant is not None
    ]
    return tuple(sorted(lines, key=lambda line: line.reference))


def _line(submitted: ApplicationSubmitted, amount_eur: int) -> LaureateLine:
    return LaureateLine(submitted.reference, submitted.organisation.name, submitted.project.title, amount_eur)


def letters_by_template(applications: Iterable[Application]) -> dict[str, int]:
    """How many distinct letters left, by template."""
    counted = Counter(letter.template for each in applications for letter in each.letters if letter.sent)
    return dict(sorted(counted.items()))
