"""Notify dies in each state of a delivery: its successor sends what is due, one letter by distinct Message-ID."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from shared.crashpoints import EXIT_CODE, Place, arm
from tests.builders_notify import Dossier, Notify, notify_settings
from tests.databases import Databases
from tests.postoffice import Fault, PostOffice, post_office
from tests.processes import running
from tests.waiting import until

NOBODY = "127.0.0.1:1"
LEASE_S = "1"
"""A dead process's letter is free this soon."""


@dataclass(frozen=True)
class Death:
    """How the process comes to die, and what is left then. `copies` is how often its letter is taken in the end."""

    state: str
    taken: int
    copies: int
    at: Place | None = None
    """It dies of itself there; else it is killed, as soon as the rest is so."""
    fault: Fault | None = None
    mail_away: bool = False


DEATHS = {
    "while its letter waits for a mail server": Death("waiting", 0, 1, mail_away=True),
    "when it has claimed the letter": Death("sending", 0, 1, at="mail.claimed"),
    "before the server has the whole letter": Death("sending", 0, 1, fault=Fault("data", "hangs")),
    "after the server has it and before it says so": Death("sending", 1, 2, fault=Fault("letter", "takes and hangs")),
    "after the server said so and before it is recorded": Death("sending", 1, 2, at="mail.taken"),
    "when it is recorded": Death("sent", 1, 1, at="mail.recorded"),
}


@pytest.fixture
async def office() -> AsyncIterator[PostOffice]:
    async with post_office() as office:
        yield office


@pytest.fixture
async def notify(databases: Databases, office: PostOffice) -> Notify:
    db = await databases("notify")
    return Notify(db, office, notify_settings(db, office.url))  # type: ignore[arg-type]


@pytest.mark.parametrize("when", DEATHS)
async def test_a_letter_whose_process_died_is_sent_once_by_its_successor(
    notify: Notify, office: PostOffice, tmp_path: Path, when: str
) -> None:
    death = DEATHS[when]
    await dies(notify, office, tmp_path, death)
    [left] = await notify.deliveries()
    assert (left["state"], len(office.taken)) == (death.state, death.taken)
    assert len(await notify.said()) == (death.state == "sent")

    other = replace(Dossier(number=2), call_id=left["call_id"])
    await notify.take(other.contact(), other.submitted())
    async with notify.sending():
        rows = await notify.until(lambda rows: [row["state"] for row in rows] == ["sent", "sent"])
    copies = Counter(str(message["Message-ID"]) for message in office.taken)
    assert copies == {rows[0]["message_id"]: death.copies, rows[1]["message_id"]: 1}
    said = [(each["type"], each["message_id"]) for each in await notify.said()]
    assert sorted(said) == sorted(("ApplicantNotified", row["message_id"]) for row in rows)


async def dies(notify: Notify, office: PostOffice, folder: Path, death: Death) -> None:
    """Start notify as a process, give it a letter to send, and see it end. Who is away is not asked again meanwhile."""
    around = {
        "RELEVE_KAFKA_BOOTSTRAP_SERVERS": NOBODY, "RELEVE_NOTIFY_DATABASE_URL": notify.db.dsn,
        "RELEVE_SMTP_URL": f"smtp://{NOBODY}" if death.mail_away else office.url, "RELEVE_MAIL_LEASE_S": LEASE_S,
        "RELEVE_CRASH_DIR": str(folder), "RELEVE_RETRY_FIRST_S": "30",
    }  # fmt: skip
    async with running("notify", **around) as (process, _):
        if death.at is not None:
            arm(folder, "notify", death.at)
        if death.fault is not None:
            office.faults.append(death.fault)
        await notify.take(*Dossier().known())
        if death.at is not None:
            async with asyncio.timeout(60):
                assert await process.wait() == EXIT_CODE
            return
        await until(lambda: comes_to(notify, office, death))
        process.kill()
        await process.wait()


async def comes_to(notify: Notify, office: PostOffice, death: Death) -> bool:
    """Whether it is time to kill: the letter was tried, and lies where it should."""
    [row] = await notify.deliveries()
    tried = row["reason"] is not None if death.mail_away else office.faults == []
    return tried and (row["state"], len(office.taken)) == (death.state, death.taken)
