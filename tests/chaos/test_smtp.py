"""A mail server that fails at any step: every letter is sent in the end, twice only where it may have been taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from typing import get_args

import pytest

from tests.builders_notify import Dossier, Notify, notify_settings
from tests.chaos.behind import service_behind
from tests.databases import Databases
from tests.postoffice import Fault, PostOffice, Step, post_office
from tests.waiting import until

SILENCE = {"mail_reply_timeout_s": 0.3, "mail_connect_timeout_s": 0.3}
STEPS: tuple[Step, ...] = get_args(Step)
LOST_AFTER_TAKING = ("takes and hangs", "takes and closes", "takes and resets")
ONCE = [
    *(Fault(step, fate) for step in STEPS for fate in ("hangs", "closes", "resets")),
    *(Fault(step, "421 4.3.2 Shutting down") for step in STEPS),
    *(Fault(step, "451 4.7.1 Later") for step in STEPS[2:]),
    *(Fault(step, "452 4.2.2 Full") for step in ("rcpt", "letter")),
    Fault("greeting", "554 No service"),
    Fault("mail", "550 5.7.1 Who are you?"),
    Fault("letter", "answers and resets"),
]
TWICE = [Fault("letter", fate) for fate in LOST_AFTER_TAKING]
FOR_GOOD = [Fault("rcpt", "550 5.1.1 No such user"), Fault("data", "554 5.7.1 No"), Fault("letter", "550 5.7.1 Spam")]


@pytest.fixture
async def office() -> AsyncIterator[PostOffice]:
    async with post_office() as office:
        yield office


@pytest.fixture
async def notify(databases: Databases, office: PostOffice) -> Notify:
    db = await databases("notify")
    return Notify(db, office, notify_settings(db, office.url, mail_parallel=1, **SILENCE))  # type: ignore[arg-type]


async def all_sent(notify: Notify, count: int) -> None:
    await notify.until(lambda rows: len(rows) == count and all(row["state"] == "sent" for row in rows))


def copies(office: PostOffice) -> list[int]:
    """How often each letter was taken."""
    return sorted(Counter(str(message["Message-ID"]) for message in office.taken).values())


async def test_whatever_fails_before_the_server_has_a_letter_it_is_sent_once(
    notify: Notify, office: PostOffice
) -> None:
    """One after the other on one line, two letters for each fault: what is wrong with one is nothing to the next."""
    async with notify.sending(mail_give_up_after_s=60):
        for number, fault in enumerate(ONCE):
            office.faults.append(fault)
            office.hang_up()
            one, other = Dossier(number=2 * number + 1), Dossier(number=2 * number + 2)
            await notify.take(*one.known(), other.contact(), other.submitted())
            await all_sent(notify, 2 * number + 2)
            assert office.faults == [], fault
    assert copies(office) == [1] * 2 * len(ONCE)
    assert Counter(each["type"] for each in await notify.said()) == {"ApplicantNotified": 2 * len(ONCE)}


async def test_a_letter_whose_answer_is_lost_is_sent_twice_with_one_message_id_and_told_once(
    notify: Notify, office: PostOffice
) -> None:
    async with notify.sending():
        for number, fault in enumerate(TWICE):
            office.faults.append(fault)
            await notify.take(*Dossier(number=number + 1).known())
            await all_sent(notify, number + 1)
    assert copies(office) == [2, 2, 2]
    assert [each["type"] for each in await notify.said()] == ["ApplicantNotified"] * 3


async def test_a_letter_that_is_refused_for_good_fails_alone_and_says_so(notify: Notify, office: PostOffice) -> None:
    async with notify.sending():
        for number, fault in enumerate(FOR_GOOD):
            office.faults.append(fault)
            refused = Dossier(number=number + 1)
            await notify.take(*refused.known())
            await notify.until(lambda rows: {row["state"] for row in rows} == {"refused_for_good"})
        taken = Dossier(number=9)
        await notify.take(taken.contact(), taken.submitted())
        await notify.until(lambda rows: "sent" in {row["state"] for row in rows})
    assert [(each["type"], each.get("reason")) for each in await notify.said()] == [
        *(("NotificationFailed", fault.what[:9].strip()) for fault in FOR_GOOD), ("ApplicantNotified", None)
    ]  # fmt: skip
    assert copies(office) == [1]


async def test_a_letter_that_was_taken_while_the_database_was_away_is_not_sent_again(
    databases: Databases, office: PostOffice
) -> None:
    """The process lives: it knows what it did, and says so as soon as it can."""
    async with service_behind(databases, "notify") as behind:
        settings = notify_settings(behind.db, office.url, mail_parallel=1)
        notify = Notify(behind.db, office, settings)  # type: ignore[arg-type]
        beside = Notify(behind.direct, office, settings)  # type: ignore[arg-type]
        await beside.take(*Dossier().known())
        office.on_taking = behind.proxy.refuse
        async with notify.sending() as mailer:
            await until(lambda: len(office.taken) == 1 and mailer.progress.problem is not None)
            behind.proxy.accept()
            await all_sent(beside, 1)
        assert copies(office) == [1]
        assert [each["type"] for each in await beside.said()] == ["ApplicantNotified"]
        await behind.nothing_left_open()
