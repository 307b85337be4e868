"""Owns the deposit of an application: the key first, then the rules, then one transaction for all of it; never HTTP.

What a 201 answers is stored with its event, whatever dies next (`docs/design.md` §8.1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from services.intake.access import Access
from services.intake.reading import Deposit, address_in, read_json, read_submission, same_address
from services.intake.store import applications
from services.intake.store.applications import Closed, InFlight, Inserted, NewApplication, Stored
from services.intake.store.calls import PublishedCalls
from shared.db import Database, Transaction
from shared.events.call import Call
from shared.events.intake import ApplicationSubmitted, ContactUpdated
from shared.ids import new_id
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
class Desk:
    """What a submission needs. `reserved_domains` lets addresses pass that no letter can reach: not in production."""

    db: Database
    calls: PublishedCalls
    access: Access
    reserved_domains: bool

    async def submit(self, sent: Sent) -> Receipt | Refusal:
        """Deposit an application, or answer what its key was answered before. Raises BodyMalformed."""
        document = read_json(sent.body)
        address = address_in(document)
        address_hmac = None if address is None else self.access.of_address(address)
        body_hmac = self.access.of_body(document)
        async with self.db.transaction() as tx:
            row = await applications.look_up(tx, sent.call_id, address_hmac, sent.key)
            if row is None:
                return Refusal("call_unknown")
            before = applications.stored_in(row)
            if before is not None:
                return _again(before, body_hmac)
            call = await self.calls.version(tx, sent.call_id, row["version"])
        new = self._new(sent, document, call, body_hmac)
        if isinstance(new, Refusal):
            return new
        async with self.db.transaction() as tx:
            return await _store(tx, *new, sent.cause)

    def _new(self, sent: Sent, document: Any, call: Call, body_hmac: bytes) -> tuple[NewApplication, Deposit] | Refusal:
        """The rows to store if every rule is kept."""
        taking = call.round_at(sent.received_at)
        if taking is None:
            return Refusal("round_closed")
        deposit = read_submission(sent.body, document, call, reserved_domains=self.reserved_domains)
        if not isinstance(deposit, Deposit):
            return Refusal("validation_failed", deposit)
        address_hmac = self.access.of_address(address_in(document) or "")
        new = NewApplication(
            application_id=new_id(), call_id=call.id, call_version=call.version, round_id=taking.id,
            applicant_id=new_id(), email=deposit.email, email_key=same_address(deposit.email),
            name=deposit.contact_name, language=deposit.language,
            organisation=deposit.organisation.model_dump_json(), project=deposit.project.model_dump_json(),
            submitted_at=sent.received_at, key=sent.key, address_hmac=address_hmac, body_hmac=body_hmac,
        )  # fmt: skip
        return new, deposit


def _again(stored: Stored, body_hmac: bytes) -> Receipt | Refusal:
    if stored.body_hmac != body_hmac:
        return Refusal("idempotency_key_reused")
    return _receipt(stored)


def _receipt(stored: Stored) -> Receipt:
    return Receipt(stored.application_id, stored.reference, stored.submitted_at, stored.token_version)


async def _store(tx: Transaction, new: NewApplication, deposit: Deposit, cause: Cause) -> Receipt | Refusal:
    [result] = await applications.insert_applications(tx, [new])
    match result:
        case Inserted():
            _tell(tx, new, deposit, result, cause)
            return _receipt(result.stored)
        case InFlight():
            return Refusal("idempotency_in_flight")
        case Closed():
            return Refusal("round_closed")
    return _again(result.stored, new.body_hmac)


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
