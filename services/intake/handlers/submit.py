"""Owns the deposit of an application: the key first, then the rules, then the rows, in one transaction; never HTTP.

Submissions that come at the same time share that transaction. What a 201 answers is stored with its event, whatever
dies next (`docs/design.md` §8.1).
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from services.intake.access import Access
from services.intake.domain.submission import Rules
from services.intake.reading import (
    BodyMalformed,
    Deposit,
    address_in,
    read_json,
    read_submission,
    rules_of,
    same_address,
)
from services.intake.store import applications
from services.intake.store.applications import Claimed, Closed, Inserted, KeyOf, NewApplication, Stored
from services.intake.store.calls import PublishedCalls
from shared.db import Database, Transaction
from shared.events.call import Call
from shared.events.intake import ApplicationSubmitted, ContactUpdated
from shared.group_commit import GroupCommit
from shared.ids import new_id
from shared.room import Room
from shared.telemetry import Cause
from shared.web.problems import FieldError

RefusalCode = Literal[
    "call_unknown", "idempotency_in_flight", "idempotency_key_reused", "round_closed", "validation_failed"
]


@dataclass(frozen=True, slots=True)
class Sent:
    """A submission as it arrived. `received_at` is business time, taken before anything waited."""

    call_id: str
    key: str
    body: bytes
    received_at: datetime
    cause: Cause


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the applicant is given, the first time and every time after it."""

    application_id: str
    reference: str
    submitted_at: datetime
    token_version: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing was stored: a code of `docs/design.md` §5, and the wrong fields if it is about them."""

    code: RefusalCode
    errors: Sequence[FieldError] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """How many submissions share one commit at most, how many may wait for theirs, how many bytes may be here.

    `longest_s` is the time from the first byte of a body to the answer: a round is closed for good so long after its
    grace, when none that came in time can be under way.
    """

    largest: int
    most_waiting: int
    most_bytes: int
    longest_s: float


@dataclass(frozen=True, slots=True)
class _Judged:
    """A submission on its way into a group: what it says, and the verdict of the rules under one version of its call.

    The verdict counts only if its key stands for nothing yet and the version is still the current one.
    """

    sent: Sent
    document: Any
    key: KeyOf
    body_hmac: bytes
    version: int | None
    verdict: "_Kept | Refusal | None"


@dataclass(frozen=True, slots=True)
class _Kept:
    """Every rule is kept: the rows to store, and what is told of them."""

    new: NewApplication
    deposit: Deposit
    cause: Cause


class Desk:
    """Takes submissions. `reserved_domains` lets addresses pass that no letter can reach: not in production."""

    def __init__(
        self, db: Database, calls: PublishedCalls, access: Access, limits: Limits, *, reserved_domains: bool
    ) -> None:
        self.access = access
        self.calls = calls
        self.longest_s = limits.longest_s
        self._reserved_domains = reserved_domains
        self._rules: dict[str, tuple[int, Rules]] = {}
        self._room = Room(limits.most_bytes)
        self._group: GroupCommit[_Judged, Receipt | Refusal] = GroupCommit(
            db, "submissions", self._write, largest=limits.largest, most_waiting=limits.most_waiting
        )

    def place_for(self, size: int) -> AbstractContextManager[None]:
        """Hold room for a body of so many bytes before it is read. Raises TooManyWait while more wait than may."""
        self._group.refuse_if_full()
        return self._room.held(size)

    async def submit(self, sent: Sent) -> Receipt | Refusal:
        """Deposit an application, or answer what its key was answered before. Raises BodyMalformed, TooManyWait."""
        self._group.refuse_if_full()  # others came while its body was read
        return await self._group.written(self._judged(sent))

    def _judged(self, sent: Sent) -> _Judged:
        """Judged while an earlier group is written, under the version that most likely still holds."""
        document = read_json(sent.body)
        address = address_in(document)
        address_hmac = None if address is None else self.access.of_address(address)
        key = KeyOf(sent.call_id, address_hmac, sent.key)
        try:
            body_hmac = self.access.of_body(document)
        except ValueError:
            raise BodyMalformed("The body has a number that is too large to be read.") from None
        call = self.calls.newest_known(sent.call_id)
        verdict = None if call is None else self._verdict(sent, document, call, key, body_hmac)
        version = None if call is None else call.version
        return _Judged(sent, document, key, body_hmac, version, verdict)

    def _rules_of(self, call: Call) -> Rules:
        """The rules of a call's version, made once as long as it is the one asked for."""
        version, rules = self._rules.get(call.id, (0, None))
        if rules is None or version != call.version:
            rules = rules_of(call)
            self._rules[call.id] = (call.version, rules)
        return rules

    def _verdict(self, sent: Sent, document: Any, call: Call, key: KeyOf, body_hmac: bytes) -> _Kept | Refusal:
        """The rows to store if every rule is kept."""
        taking = call.round_at(sent.received_at)
        if taking is None:
            return Refusal("round_closed")
        deposit = read_submission(
            sent.body, document, self._rules_of(call), reserved_domains=self._reserved_domains
        )  # fmt: skip
        if not isinstance(deposit, Deposit):
            return Refusal("validation_failed", deposit)
        assert key.address_hmac is not None  # noqa: S101 - a deposit has an address
        new = NewApplication(
            application_id=new_id(), call_id=call.id, call_version=call.version, round_id=taking.id,
            applicant_id=new_id(), email=deposit.email, email_key=same_address(deposit.email),
            name=deposit.contact_name, language=deposit.language,
            organisation=deposit.organisation.model_dump_json(), project=deposit.project.model_dump_json(),
            submitted_at=sent.received_at, key=sent.key, address_hmac=key.address_hmac, body_hmac=body_hmac,
        )  # fmt: skip
        return _Kept(new, deposit, sent.cause)

    async def _write(self, tx: Transaction, group: Sequence[_Judged]) -> list[Receipt | Refusal]:
        """One transaction: the keys first, then the verdicts, then the rows of all that may be stored."""
        answers: dict[int, Receipt | Refusal] = {}
        kept: dict[int, _Kept] = {}
        begun: set[KeyOf] = set()
        claimed = await applications.claim_keys(tx, [each.key for each in group])
        for position, (each, claim) in enumerate(zip(group, claimed, strict=True)):
            found = await self._found(tx, each, claim)
            if isinstance(found, _Kept) and (each.key in begun or not claim.ours):
                found = Refusal("idempotency_in_flight")
            if isinstance(found, _Kept):
                kept[position] = found
                begun.add(each.key)
            else:
                answers[position] = found
        if kept:
            answers |= zip(kept, await _store(tx, list(kept.values())), strict=True)
        return [answers[position] for position in range(len(group))]

    async def _found(self, tx: Transaction, judged: _Judged, claim: Claimed) -> _Kept | Receipt | Refusal:
        """What one of a group comes to, as far as the database knows its call and its key."""
        if claim.version is None:
            return Refusal("call_unknown")
        if claim.stored is not None:
            return _again(claim.stored, judged.body_hmac)
        if judged.verdict is not None and judged.version == claim.version:
            return judged.verdict
        call = await self.calls.version(tx, judged.sent.call_id, claim.version)
        return self._verdict(judged.sent, judged.document, call, judged.key, judged.body_hmac)


def _again(stored: Stored, body_hmac: bytes) -> Receipt | Refusal:
    if stored.body_hmac != body_hmac:
        return Refusal("idempotency_key_reused")
    return _receipt(stored)


def _receipt(stored: Stored) -> Receipt:
    return Receipt(stored.application_id, stored.reference, stored.submitted_at, stored.token_version)


async def _store(tx: Transaction, kept: Sequence[_Kept]) -> list[Receipt | Refusal]:
    results = await applications.insert_applications(tx, [each.new for each in kept])
    return [_stored(tx, each, result) for each, result in zip(kept, results, strict=True)]


def _stored(tx: Transaction, kept: _Kept, result: Inserted | Closed) -> Receipt | Refusal:
    if isinstance(result, Closed):
        return Refusal("round_closed")
    _tell(tx, kept.new, kept.deposit, result, kept.cause)
    return _receipt(result.stored)


def _tell(tx: Transaction, new: NewApplication, deposit: Deposit, inserted: Inserted, cause: Cause) -> None:
    if inserted.new_applicant:
        # Only the first: without a session a submit never changes an existing contact.
        contact = ContactUpdated(
            occurred_at=new.submitted_at, applicant_id=inserted.applicant_id, name=new.name, email=new.email,
            language=deposit.language,
        )  # fmt: skip
        tx.outbox.record(contact, cause)
    submitted = ApplicationSubmitted(
        occurred_at=new.submitted_at, call_id=new.call_id, call_version=new.call_version, round_id=new.round_id,
        application_id=new.application_id, reference=inserted.stored.reference, applicant_id=inserted.applicant_id,
        organisation=deposit.organisation, project=deposit.project, submitted_at=new.submitted_at,
    )  # fmt: skip
    tx.outbox.record(submitted, cause)
