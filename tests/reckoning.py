"""Owns a second, independent reckoning of a data folder by `docs/design.md` §7; it never imports the product.

Fractions in place of Decimal, one pass in place of events: if both agree, the rules are what the page says.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

Facts = dict[str, Any]


@dataclass(frozen=True)
class Judged:
    """An application that holds a score of 0 to 100, rounded once to two decimals."""

    dossier: str
    round_id: str
    submitted_at: datetime
    score: Fraction
    basis: str
    criteria: Mapping[str, Fraction]
    claim_eur: int


@dataclass
class Outcome:
    """What the rules make of the folder; dossiers in rank order, rounds one after the other."""

    inadmissible: list[str] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)
    judged: list[Judged] = field(default_factory=list)
    awarded: dict[str, int] = field(default_factory=dict)
    waitlisted: list[str] = field(default_factory=list)
    not_selected: list[str] = field(default_factory=list)
    remaining_eur: int = 0

    @property
    def awarded_eur(self) -> int:
        """The euros of all awards."""
        return sum(self.awarded.values())


def load(folder: Path) -> Facts:
    """The folder's files as plain values, by name."""
    yaml = YAML(typ="safe")
    names = ("call", "applications", "instruction", "marks", "reviewers", "calendar")
    return {name: yaml.load(folder / f"{name}.yaml") for name in names}


def own_score(call: Facts, marks: Mapping[str, Facts]) -> Fraction:
    """One evaluation's own score, marks that are null left out of the denominator."""
    return weighted(call, {name: Fraction(mark["value"]) for name, mark in marks.items() if mark["value"] is not None})


def weighted(call: Facts, means: Mapping[str, Fraction]) -> Fraction:
    """20 × Σ(weight × mean) ÷ Σ weight over the criteria that have a mean."""
    weights = {c["id"]: Fraction(str(c["weight"])) for c in call["rubric"]["criteria"] if c["id"] in means}
    return 20 * sum((weights[name] * means[name] for name in weights), Fraction()) / sum(weights.values())


def counting(call: Facts, opinions: list[Facts]) -> tuple[str, list[Facts]]:
    """The evaluations that count and on what basis; none where the chair has to arbitrate."""
    wanted, limit = call["rubric"]["reviewers_per_application"], Fraction(str(call["rubric"]["max_spread"]))

    def spread(group: Iterable[Facts]) -> Fraction:
        scores = [own_score(call, each["marks"]) for each in group]
        return max(scores) - min(scores)

    if spread(opinions[:wanted]) <= limit:
        return "agreed", opinions[:wanted]
    groups = list(combinations(opinions[: wanted + 1], wanted))
    closest = min(map(spread, groups))
    if closest > limit:
        return "arbitrated", []
    nearest = [group for group in groups if spread(group) == closest]
    return "further", [each for each in opinions if any(each in group for group in nearest)]


def judge(call: Facts, application: Facts, given: Facts) -> Judged:
    """The score of one application, from its slots in order and the chair's marks."""
    opinions = [given[slot] for slot in sorted(key for key in given if key != "chair")]
    basis, counted = counting(call, opinions)
    counted = counted or [given["chair"]]
    means: dict[str, Fraction] = {}
    for criterion in call["rubric"]["criteria"]:
        marks = [each["marks"][criterion["id"]]["value"] for each in counted]
        if present := [mark for mark in marks if mark is not None]:
            means[criterion["id"]] = Fraction(sum(present), len(present))
    recommended = sorted(each["recommended_eur"] for each in counted if each["recommended_eur"] is not None)
    requested = application["project"]["requested_eur"]
    claim = recommended[(len(recommended) - 1) // 2] if recommended else requested
    return Judged(
        dossier=application["dossier"],
        round_id=round_of(call, application),
        submitted_at=application["submitted_at"],
        score=round(weighted(call, means), 2),
        basis=basis,
        criteria=means,
        claim_eur=min(max(claim, call["grant"]["min_eur"]), requested),
    )


def round_of(call: Facts, application: Facts) -> str:
    """The id of the round that was open at the deposit."""
    at = application["submitted_at"]
    return next(str(each["id"]) for each in call["rounds"] if each["opens_at"] <= at <= each["closes_at"])


def rank(call: Facts, members: Iterable[Judged]) -> list[Judged]:
    """By score, then the call's tie-break, then the earlier deposit (files stand in that order)."""

    def place(member: Judged) -> tuple[Any, ...]:
        return (
            -member.score,
            *(-member.criteria.get(name, Fraction(-1)) for name in call["tie_break"]),
            member.submitted_at,
        )

    return sorted(members, key=place)


def reckon(facts: Facts) -> Outcome:
    """What the decisions of all rounds come to, later answers and withdrawals after a decision left aside."""
    call, outcome = facts["call"], Outcome()
    decided = {a["round"]: a["at"] for a in facts["calendar"]["acts"] if a["act"] == "decide"}
    outcome.inadmissible = list(facts["instruction"]["inadmissible"])
    for application in facts["applications"]["applications"]:
        dossier, withdrawn = application["dossier"], application.get("withdraws")
        if withdrawn and withdrawn["at"] <= decided[round_of(call, application)]:
            outcome.withdrawn.append(dossier)
        elif dossier not in outcome.inadmissible:
            outcome.judged.append(judge(call, application, facts["marks"]["evaluations"][dossier]))
    outcome.remaining_eur = call["envelope_eur"]
    for each in call["rounds"]:
        share_out(call, rank(call, (j for j in outcome.judged if j.round_id == each["id"])), outcome)
    return outcome


def share_out(call: Facts, ranked: list[Judged], outcome: Outcome) -> None:
    """Award one round's claims in order while the money lasts, by the call's `shortfall` (`stop` or `skip`)."""
    short = False
    for member in ranked:
        if member.score < Fraction(str(call["rubric"]["pass_mark"])):
            outcome.not_selected.append(member.dossier)
        elif member.claim_eur > outcome.remaining_eur or (short and call["shortfall"] == "stop"):
            short = True
            outcome.waitlisted.append(member.dossier)
        else:
            outcome.awarded[member.dossier] = member.claim_eur
            outcome.remaining_eur -= member.claim_eur
