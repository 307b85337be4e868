"""Owns what must hold between what applicants were answered at a deadline, what is stored, and what was told of it.

Pure: it shares no rule with the product, and reads nothing by itself.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from benchmarks.rush import Applicant, Try

CONFLICT, BUSY = 409, 503
HAD_WITHIN_S = 1.0
"""So soon after its last byte left the applicant, a request must have reached the server that reads the clock."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One application as it is stored."""

    application_id: str
    key: str
    reference: str
    submitted_at: datetime


@dataclass(slots=True)
class Told:
    """What the topic says of a round: when each application was deposited, and each closing's count and hash."""

    submitted: list[tuple[str, datetime]] = field(default_factory=list)
    closings: list[tuple[int, str]] = field(default_factory=list)


def violations(
    applicants: Sequence[Applicant], stored: Sequence[Stored], told: Told, taken_until: float
) -> Iterator[str]:
    """Every promise of the deadline hour that was broken, in a sentence each."""
    for each in applicants:
        yield from _of_tries(each, taken_until)
    yield from _of_rows({each.key: each for each in applicants if each.taken}, stored, taken_until)
    yield from _of_topic(stored, told)


def _of_tries(applicant: Applicant, taken_until: float) -> Iterator[str]:
    """Who is refused is told so with its code, and was late; who is turned away is told when to come back."""
    *_, last = applicant.tries
    if not applicant.taken:
        if (last.status, last.code) != (403, "round_closed"):
            yield f"{applicant.key} was answered {last.status} {last.code}"
        elif last.answered < taken_until:
            yield f"{applicant.key} was refused as late {taken_until - last.answered:.3f} s before the end"
        elif last.sent < taken_until - HAD_WITHIN_S:
            yield f"{applicant.key} was refused as late, and had sent it {taken_until - last.sent:.3f} s before the end"
    for each in applicant.tries:
        if each.status == BUSY and (each.code != "unavailable" or not each.retry_after_s):
            yield f"{applicant.key} was turned away without a word of when to come back"


def _of_rows(taken: Mapping[str, Applicant], stored: Sequence[Stored], taken_until: float) -> Iterator[str]:
    """Each 201 has its row and each row its 201, once, with the same words; each receipt is when the server had it."""
    yield from _not_once("the key", (row.key for row in stored))
    yield from _not_once("the reference", (row.reference for row in stored))
    for key in taken.keys() - {row.key for row in stored}:
        yield f"{key} was answered 201 and is not stored"
    for row in stored:
        applicant, submitted_at = taken.get(row.key), row.submitted_at.timestamp()
        if applicant is None:
            yield f"{row.key} is stored, and its applicant was told that it is not"
            continue
        said = applicant.document
        if (said["application_id"], said["reference"]) != (row.application_id, row.reference):
            yield f"{row.key} is stored under another name than was answered"
        if datetime.fromisoformat(said["submitted_at"]) != row.submitted_at:
            yield f"{row.key} was answered another time of receipt than is stored"
        if submitted_at > taken_until:
            yield f"{row.key} was taken {submitted_at - taken_until:.3f} s after the end"
        if storing_try(applicant, submitted_at) is None:
            yield f"{row.key} has a time of receipt at which it was not on its way"


def _of_topic(stored: Sequence[Stored], told: Told) -> Iterator[str]:
    """One event for each row, with its time, and one closing that counts them all."""
    yield from _not_once("the event of", (application_id for application_id, _ in told.submitted))
    rows, events = {row.application_id: row.submitted_at for row in stored}, dict(told.submitted)
    for application_id in rows.keys() ^ events.keys():
        yield f"{application_id} is {'stored and not told' if application_id in rows else 'told and not stored'}"
    for application_id in rows.keys() & events.keys():
        if rows[application_id] != events[application_id]:
            yield f"{application_id} is told with another time of receipt than is stored"
    counted = (len(rows), hashlib.sha256("\n".join(sorted(rows)).encode()).hexdigest())
    if told.closings != [counted]:
        yield f"the round was closed {len(told.closings)} times, with {[n for n, _ in told.closings]} of {len(rows)}"


def _not_once(what: str, names: Iterable[str]) -> Iterator[str]:
    for name, times in Counter(names).items():
        if times > 1:
            yield f"{what} {name} is there {times} times"


def storing_try(applicant: Applicant, submitted_at: float) -> Try | None:
    """The request that was on its way at a time of receipt, and was not told that it is not the one that was stored."""
    # A document's microseconds are cut, not rounded: the first of them may begin before the moment.
    might = (each for each in applicant.tries if each.status not in (CONFLICT, BUSY))
    return next((each for each in might if each.sent - 1e-6 <= submitted_at <= each.answered), None)
