"""Owns what a round's decision would be: a function of members, scores, terms, moves and envelope; it writes nothing.

`inputs_document` and `outcome_document` are the plain values whose RFC 8785 JSON is hashed, so that anyone entitled to
see them can recompute the list (`docs/design.md` §7, Decide).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

from services.funding.domain.envelope import Claim, Envelope, Reserved, Short, Shortfall, allocate
from services.funding.domain.ranking import Member, Move, Ranked, rank

LineOutcome = Literal["awarded", "waitlisted", "not_selected"]


@dataclass(frozen=True, slots=True)
class Terms:
    """What the call file says about deciding; `version` is the call's."""

    version: int
    pass_mark: Decimal
    tie_break: tuple[str, ...]
    shortfall: Shortfall
    min_eur: int


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything that a proposal depends on."""

    call_id: str
    round_id: str
    terms: Terms
    envelope: Envelope
    members: Sequence[Member]
    moves: Sequence[Move] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """One application of the proposal. `running_eur` adds up the claims down to here, whether they fit or not."""

    rank: int
    application_id: str
    score: Decimal
    outcome: LineOutcome
    reason: str | None
    claim_eur: int
    awarded_eur: int
    running_eur: int
    told_apart_by: str | None


@dataclass(frozen=True, slots=True)
class Proposal:
    """The lines in rank order, and the envelope as confirming them would leave it."""

    lines: Sequence[Line]
    envelope: Envelope

    def count(self, outcome: LineOutcome) -> int:
        """How many lines have that outcome."""
        return sum(line.outcome == outcome for line in self.lines)

    @property
    def awarded_eur(self) -> int:
        """The euros of all awards."""
        return sum(line.awarded_eur for line in self.lines)


def claim_eur(requested_eur: int, recommended_eur: int | None, min_eur: int) -> int:
    """`recommended_eur`, else `requested_eur`, clamped to [`min_eur`, `requested_eur`]."""
    return min(max(requested_eur if recommended_eur is None else recommended_eur, min_eur), requested_eur)


def propose(inputs: Inputs) -> Proposal:
    """Order, drop what is below the pass mark, then serve the claims in order by the call's policy."""
    terms = inputs.terms
    ranked = rank(inputs.members, terms.tie_break, inputs.moves)
    claims = [
        Claim(each.member.application_id, _claim(each.member, terms))
        for each in ranked
        if each.member.score >= terms.pass_mark
    ]
    envelope, answers = allocate(inputs.envelope, claims, terms.shortfall, terms.min_eur)
    answer_of = {answer.application_id: answer for answer in answers}
    lines: list[Line] = []
    running = 0
    for each in ranked:
        answer = answer_of.get(each.member.application_id)
        running += _claim(each.member, terms) if answer else 0
        lines.append(_line(each, answer, _claim(each.member, terms), running))
    return Proposal(lines, envelope)


def _claim(member: Member, terms: Terms) -> int:
    return claim_eur(member.requested_eur, member.recommended_eur, terms.min_eur)


def _line(ranked: Ranked, answer: Reserved | Short | None, claim: int, running: int) -> Line:
    outcome: LineOutcome = "not_selected"
    reason: str | None = "below_pass_mark"
    awarded = 0
    if isinstance(answer, Reserved):
        outcome, reason, awarded = "awarded", None, answer.amount_eur
    elif isinstance(answer, Short):
        outcome, reason = "waitlisted", answer.reason
    member = ranked.member
    return Line(
        ranked.rank, member.application_id, member.score, outcome, reason, claim, awarded, running, ranked.told_apart_by
    )


def inputs_document(inputs: Inputs) -> dict[str, Any]:
    """The inputs as plain JSON values: decimals as strings, members by id, times in UTC."""
    return _plain(inputs_stream(inputs))


def inputs_stream(inputs: Inputs) -> dict[str, Any]:
    """`inputs_document` whose members come one by one: a large round is not kept as JSON values as well."""
    terms, envelope = inputs.terms, inputs.envelope
    return {
        "call_id": inputs.call_id,
        "call_version": terms.version,
        "round_id": inputs.round_id,
        "terms": {
            "pass_mark": str(terms.pass_mark),
            "tie_break": list(terms.tie_break),
            "shortfall": terms.shortfall,
            "min_eur": terms.min_eur,
        },
        "envelope": asdict(envelope),
        "moves": [asdict(move) for move in inputs.moves],
        "members": (_member(each) for each in sorted(inputs.members, key=lambda each: each.application_id)),
    }


def _plain(stream: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, Iterator) else value for name, value in stream.items()}


def _member(member: Member) -> dict[str, Any]:
    return {
        "application_id": member.application_id,
        "submitted_at": member.submitted_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "score": str(member.score),
        "means": {criterion: str(mean) for criterion, mean in member.means.items()},
        "requested_eur": member.requested_eur,
        "recommended_eur": member.recommended_eur,
    }


def read_inputs(document: dict[str, Any]) -> Inputs:
    """Undo `inputs_document`: what anyone needs to compute a stored decision again."""
    terms = document["terms"]
    return Inputs(
        document["call_id"],
        document["round_id"],
        Terms(
            document["call_version"], Decimal(terms["pass_mark"]), tuple(terms["tie_break"]), terms["shortfall"],
            terms["min_eur"],
        ),
        Envelope(**document["envelope"]),
        [
            Member(
                each["application_id"], datetime.fromisoformat(each["submitted_at"]), Decimal(each["score"]),
                {criterion: Decimal(mean) for criterion, mean in each["means"].items()}, each["requested_eur"],
                each["recommended_eur"],
            )
            for each in document["members"]
        ],
        [Move(**move) for move in document["moves"]],
    )  # fmt: skip


def outcome_document(proposal: Proposal) -> dict[str, Any]:
    """The outcome as plain JSON values, lines in rank order."""
    return _plain(outcome_stream(proposal))


def outcome_stream(proposal: Proposal) -> dict[str, Any]:
    """`outcome_document` whose lines come one by one."""
    return {
        "awarded_eur": proposal.awarded_eur,
        "remaining_eur": proposal.envelope.available_eur,
        "lines": (
            {
                "rank": line.rank,
                "application_id": line.application_id,
                "outcome": line.outcome,
                "reason": line.reason,
                "claim_eur": line.claim_eur,
                "awarded_eur": line.awarded_eur,
            }
            for line in proposal.lines
        ),
    }
