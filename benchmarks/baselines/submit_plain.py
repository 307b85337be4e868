"""The plain way to take a submission: FastAPI and SQLModel objects, one transaction for each request.

The same rules, idempotency and outbox row as the product, written as one would at first. `PLAIN_DATABASE_URL` names an
empty database, `PLAIN_CALL` the call's file as JSON, `PLAIN_PORT` the port.
"""

import hashlib
import hmac
import json
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Annotated, Any

import uvicorn
from email_validator import EmailNotValidError, validate_email
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from pydantic import BaseModel, ValidationError
from pydantic import Field as Limited
from sqlalchemy import JSON, Column, LargeBinary
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import Field, SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession
from stdnum.fr import siret

CALL = json.loads(os.environ["PLAIN_CALL"])
SECRET = b"a secret of the plain way, as good as any"
engine = create_async_engine(os.environ["PLAIN_DATABASE_URL"], pool_size=8, max_overflow=0)


class Call(SQLModel, table=True):
    id: str = Field(primary_key=True)
    last_reference: int = 0


class Applicant(SQLModel, table=True):
    id: uuid.UUID = Field(primary_key=True)
    email: str = Field(unique=True)
    name: str
    language: str


class Application(SQLModel, table=True):
    id: uuid.UUID = Field(primary_key=True)
    call_id: str = Field(foreign_key="call.id")
    applicant_id: uuid.UUID = Field(foreign_key="applicant.id")
    reference: str = Field(unique=True)
    organisation: dict[str, Any] = Field(sa_column=Column(JSON))
    project: dict[str, Any] = Field(sa_column=Column(JSON))
    submitted_at: str


class Idempotency(SQLModel, table=True):
    call_id: str = Field(primary_key=True)
    address_hmac: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    key: str = Field(primary_key=True)
    body_hmac: bytes
    application_id: uuid.UUID = Field(foreign_key="application.id")


class Outbox(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    event_id: uuid.UUID
    topic: str
    key: str
    type: str
    sequence: int
    payload: bytes


class Organisation(BaseModel):
    name: str = Limited(min_length=1, max_length=300)
    siret: str
    kind: str
    region: str = Limited(min_length=1, max_length=300)


class Contact(BaseModel):
    name: str = Limited(min_length=1, max_length=300)
    email: str
    language: str = "fr"


class Project(BaseModel):
    title: str = Limited(min_length=1, max_length=300)
    summary: str = Limited(min_length=1, max_length=5000)
    themes: list[str]
    publics: list[str] = []
    requested_eur: int
    starts_on: date
    ends_on: date
    answers: dict[str, str] = {}


class Submission(BaseModel):
    organisation: Organisation
    contact: Contact
    project: Project
    declarations: dict[str, bool] = {}


class Receipt(BaseModel):
    application_id: uuid.UUID
    reference: str
    status: str
    submitted_at: str
    access_token: str


def broken_rules(body: Submission) -> list[str]:
    project, grant = body.project, CALL["grant"]
    wrong = []
    if not siret.is_valid(body.organisation.siret):
        wrong.append("siret_invalid")
    if body.organisation.kind not in {kind["id"] for kind in CALL["kinds"]}:
        wrong.append("kind_not_allowed")
    if not project.themes:
        wrong.append("theme_missing")
    if not set(project.themes) <= {theme["id"] for theme in CALL["themes"]}:
        wrong.append("theme_unknown")
    if not set(project.publics) <= {public["id"] for public in CALL["publics"]}:
        wrong.append("public_unknown")
    if not grant["min_eur"] <= project.requested_eur <= grant["max_eur"]:
        wrong.append("amount_out_of_bounds")
    if not project.starts_on <= project.ends_on <= date.fromisoformat(CALL["project"]["ends_by"]):
        wrong.append("dates_outside_calendar")
    if not body.declarations.get("not_in_labelled_use"):
        wrong.append("declaration_missing")
    for question in CALL["questions"]:
        if len(project.answers.get(question["id"], "")) > question["max_length"]:
            wrong.append("text_too_long")
    try:
        validate_email(body.contact.email, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        wrong.append("email_invalid")
    return wrong


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.create_all)
    async with AsyncSession(engine) as session:
        if await session.get(Call, CALL["id"]) is None:
            session.add(Call(id=CALL["id"]))
            await session.commit()
    yield
    await engine.dispose()


async def one_session() -> AsyncIterator[AsyncSession]:
    async with AsyncSession(engine, expire_on_commit=False) as session:
        yield session


app = FastAPI(lifespan=lifespan)


@app.get("/healthz")
async def healthz() -> str:
    return "ok"


@app.post("/api/v1/calls/{call_id}/applications", status_code=201)
async def submit(
    call_id: str,
    request: Request,
    idempotency_key: Annotated[str, Header()],
    session: Annotated[AsyncSession, Depends(one_session)],
) -> Receipt:
    now, raw = datetime.now(UTC).isoformat(), await request.body()
    body = judged(raw, now)
    address = hmac.digest(SECRET, body.contact.email.lower().encode(), hashlib.sha256)
    digest = hmac.digest(SECRET, json.dumps(json.loads(raw), sort_keys=True).encode(), hashlib.sha256)
    known = await session.get(Idempotency, (call_id, address, idempotency_key))
    if known is not None:
        if known.body_hmac != digest:
            raise HTTPException(422, "idempotency_key_reused")
        return receipt_of(await session.get_one(Application, known.application_id))
    application = await stored(session, call_id, body, now)
    session.add(
        Idempotency(
            call_id=call_id, address_hmac=address, key=idempotency_key, body_hmac=digest, application_id=application.id
        )
    )
    payload = application.model_dump_json().encode()
    session.add(an_event("intake.applications", str(application.id), "releve.ApplicationSubmitted.v1", payload))
    await session.commit()
    return receipt_of(application)


def judged(raw: bytes, now: str) -> Submission:
    try:
        body = Submission.model_validate_json(raw)
    except ValidationError as broken:
        raise HTTPException(422, broken.errors(include_input=False, include_context=False)) from None
    wrong = broken_rules(body)
    if wrong:
        raise HTTPException(422, wrong)
    if now > CALL["rounds"][0]["closes_at"]:
        raise HTTPException(403, "round_closed")
    return body


async def stored(session: AsyncSession, call_id: str, body: Submission, now: str) -> Application:
    call = (await session.exec(select(Call).where(Call.id == call_id).with_for_update())).one_or_none()
    if call is None:
        raise HTTPException(404, "call_unknown")
    call.last_reference += 1
    applicant = await applicant_of(session, body.contact)
    application = Application(
        id=uuid.uuid4(), call_id=call_id, applicant_id=applicant.id, submitted_at=now,
        reference=f"{CALL['reference_prefix']}-{call.last_reference:04d}",
        organisation=body.organisation.model_dump(mode="json"), project=body.project.model_dump(mode="json"),
    )  # fmt: skip
    session.add(application)
    await session.flush()
    return application


async def applicant_of(session: AsyncSession, contact: Contact) -> Applicant:
    applicant = (await session.exec(select(Applicant).where(Applicant.email == contact.email))).one_or_none()
    if applicant is None:
        applicant = Applicant(id=uuid.uuid4(), email=contact.email, name=contact.name, language=contact.language)
        session.add(applicant)
        told = contact.model_dump_json().encode()
        session.add(an_event("intake.contacts", str(applicant.id), "releve.ContactUpdated.v1", told))
        await session.flush()
    return applicant


def an_event(topic: str, key: str, event_type: str, payload: bytes) -> Outbox:
    return Outbox(event_id=uuid.uuid4(), topic=topic, key=key, type=event_type, sequence=1, payload=payload)


def receipt_of(application: Application) -> Receipt:
    token = hmac.digest(SECRET, str(application.id).encode(), hashlib.sha256).hex()
    return Receipt(
        application_id=application.id, reference=application.reference, status="submitted",
        submitted_at=application.submitted_at, access_token=token,
    )  # fmt: skip


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PLAIN_PORT"]), log_level="warning", access_log=False)
