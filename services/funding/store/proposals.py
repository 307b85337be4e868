"""Owns the stored proposals: what would be, or was, decided of a round, with the documents to recompute it from."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from services.funding.domain.proposal import Line
from services.funding.domain.ranking import Move
from shared.db import Transaction

COLUMNS = """
    CAST(proposal_id AS text) AS proposal_id, call_id, round_id, number, made_at, made_by, inputs_version, call_version,
    ledger_entry, frozen, CAST(moves AS text) AS moves, inputs_sha256, outcome_sha256, awarded, waitlisted,
    not_selected, awarded_eur, remaining_eur, first_by, first_at, confirmed_by, confirmed_at
"""
ADD = """
INSERT INTO proposal (proposal_id, call_id, round_id, number, made_at, made_by, inputs_version, call_version,
    ledger_entry, frozen, moves, inputs, outcome, inputs_sha256, outcome_sha256, awarded, waitlisted, not_selected,
    awarded_eur, remaining_eur)
SELECT CAST(:proposal_id AS uuid), :call_id, :round_id,
    COALESCE((SELECT max(number) FROM proposal WHERE round_id = :round_id), 0) + 1, :made_at, :made_by, :inputs_version,
    :call_version, :ledger_entry, :frozen, CAST(:moves AS jsonb), :inputs, :outcome, :inputs_sha256, :outcome_sha256,
    :awarded, :waitlisted, :not_selected, :awarded_eur, :remaining_eur
"""
ADD_LINES = """
INSERT INTO proposal_line (proposal_id, rank, application_id, score, outcome, reason, claim_eur, awarded_eur,
                           running_eur, told_apart_by)
SELECT CAST(:proposal_id AS uuid), l.* FROM unnest(
    CAST(:ranks AS int[]), CAST(:applications AS uuid[]), CAST(:scores AS numeric[]), CAST(:outcomes AS text[]),
    CAST(:reasons AS text[]), CAST(:claims AS bigint[]), CAST(:awarded AS bigint[]), CAST(:running AS bigint[]),
    CAST(:apart AS text[])) AS l
"""
AWARDED = """
SELECT l.rank, CAST(l.application_id AS text) AS application_id, l.awarded_eur, a.requested_eur
FROM proposal_line l JOIN application a USING (application_id)
WHERE l.proposal_id = CAST(:proposal_id AS uuid) AND l.outcome = 'awarded' ORDER BY l.rank
"""
OTHERS = """
SELECT rank, CAST(application_id AS text) AS application_id, outcome, reason FROM proposal_line
WHERE proposal_id = CAST(:proposal_id AS uuid) AND rank > :after AND outcome <> 'awarded' ORDER BY rank LIMIT :limit
"""
CURRENT = "UPDATE round SET current_proposal = CAST(:proposal_id AS uuid) WHERE round_id = :round_id"
LOAD = f"SELECT {COLUMNS} FROM proposal WHERE proposal_id = CAST(:id AS uuid)"  # noqa: S608 - constants only
FIRST = "UPDATE proposal SET first_by = :by, first_at = :at WHERE proposal_id = CAST(:id AS uuid)"
CONFIRM = "UPDATE proposal SET confirmed_by = :by, confirmed_at = :at WHERE proposal_id = CAST(:id AS uuid)"


# RFC 8785 for what these documents are made of: strings, whole numbers below 2^53, and ASCII names, whose order by
# code point is the order by UTF-16 unit. A test compares it with a general implementation, which is ten times slower.
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode
PIECE = 1000


@dataclass(frozen=True, slots=True)
class Canonical:
    """A document's RFC 8785 JSON, and the SHA-256 of its UTF-8."""

    text: str
    sha256: str


def canonical(document: Mapping[str, Any]) -> Canonical:
    """Write a document; an iterator among its values becomes an array, of which a piece at a time is kept as values."""
    digest, pieces = hashlib.sha256(), []
    for piece in _pieces(document):
        digest.update(piece.encode())
        pieces.append(piece)
    return Canonical("".join(pieces), digest.hexdigest())


def _pieces(document: Mapping[str, Any]) -> Iterator[str]:
    for number, name in enumerate(sorted(document)):
        yield ("," if number else "{") + _encode(name) + ":"
        if isinstance(document[name], Iterator):
            yield from _array(document[name])
        else:
            yield _encode(document[name])
    yield "}" if document else "{}"


def _array(items: Iterator[Any]) -> Iterator[str]:
    separator = "["
    while some := list(islice(items, PIECE)):
        yield separator + _encode(some)[1:-1]
        separator = ","
    yield "]" if separator == "," else "[]"


@dataclass(frozen=True, slots=True)
class ProposalRow:
    """A proposal without its documents. `first_by` confirmed first where a second person must."""

    proposal_id: str
    call_id: str
    round_id: str
    number: int
    made_at: datetime
    made_by: str
    inputs_version: int
    call_version: int
    ledger_entry: int
    frozen: bool
    moves: str
    inputs_sha256: str
    outcome_sha256: str
    awarded: int
    waitlisted: int
    not_selected: int
    awarded_eur: int
    remaining_eur: int
    first_by: str | None
    first_at: datetime | None
    confirmed_by: str | None
    confirmed_at: datetime | None

    @property
    def asked_moves(self) -> list[Move]:
        """The moves it was made with."""
        return [Move(**move) for move in json.loads(self.moves)]


@dataclass(frozen=True, slots=True)
class NewProposal:
    """A proposal on its way into the store, documents as RFC 8785 JSON with their SHA-256."""

    proposal_id: str
    call_id: str
    round_id: str
    made_at: datetime
    made_by: str
    inputs_version: int
    call_version: int
    ledger_entry: int
    frozen: bool
    moves: Sequence[Move]
    inputs: str
    outcome: str
    inputs_sha256: str
    outcome_sha256: str
    awarded: int
    waitlisted: int
    not_selected: int
    awarded_eur: int
    remaining_eur: int


@dataclass(frozen=True, slots=True)
class AwardedLine:
    """An application of a proposal that is awarded money, as deciding needs it."""

    rank: int
    application_id: str
    awarded_eur: int
    requested_eur: int


@dataclass(frozen=True, slots=True)
class OtherLine:
    """An application of a proposal that is awarded nothing."""

    rank: int
    application_id: str
    outcome: str
    reason: str | None


async def add(tx: Transaction, new: NewProposal, lines: Sequence[Line]) -> None:
    """Keep a proposal with its lines, and make it the round's current one."""
    values = {name: getattr(new, name) for name in NewProposal.__slots__}
    await tx.execute(ADD, **{**values, "moves": json.dumps([asdict(move) for move in new.moves])})
    await tx.execute(
        ADD_LINES,
        proposal_id=new.proposal_id,
        ranks=[line.rank for line in lines],
        applications=[line.application_id for line in lines],
        scores=[line.score for line in lines],
        outcomes=[line.outcome for line in lines],
        reasons=[line.reason for line in lines],
        claims=[line.claim_eur for line in lines],
        awarded=[line.awarded_eur for line in lines],
        running=[line.running_eur for line in lines],
        apart=[line.told_apart_by for line in lines],
    )
    await tx.execute(CURRENT, proposal_id=new.proposal_id, round_id=new.round_id)


async def load(tx: Transaction, proposal_id: str | None) -> ProposalRow | None:
    """A proposal by its id, or None."""
    row = await tx.fetch_one(LOAD, id=proposal_id) if proposal_id else None
    return ProposalRow(**row) if row else None


async def documents(tx: Transaction, proposal_id: str) -> tuple[str, str] | None:
    """The RFC 8785 JSON of what went into a proposal and of what came out."""
    row = await tx.fetch_one(
        "SELECT inputs, outcome FROM proposal WHERE proposal_id = CAST(:id AS uuid)", id=proposal_id
    )
    return (row["inputs"], row["outcome"]) if row else None


async def awarded(tx: Transaction, proposal_id: str) -> list[AwardedLine]:
    """A proposal's lines that are awarded money, in rank order."""
    return [AwardedLine(**row) for row in await tx.fetch_all(AWARDED, proposal_id=proposal_id)]


async def others(tx: Transaction, proposal_id: str, after: int, limit: int) -> list[OtherLine]:
    """A piece of a proposal's other lines in rank order, after a rank."""
    rows = await tx.fetch_all(OTHERS, proposal_id=proposal_id, after=after, limit=limit)
    return [OtherLine(**row) for row in rows]


async def note_first(tx: Transaction, proposal_id: str, by: str, at: datetime) -> None:
    """Keep who confirmed first."""
    await tx.execute(FIRST, id=proposal_id, by=by, at=at)


async def confirm(tx: Transaction, proposal_id: str, by: str, at: datetime) -> None:
    """Keep who confirmed, and so decided the round."""
    await tx.execute(CONFIRM, id=proposal_id, by=by, at=at)
