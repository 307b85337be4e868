"""What a mail server's answer, its absence, or the death of a mailer means for a letter."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import structlog
from aiosmtpd.controller import Controller

from deploy.local.ports import choose_ports
from services.notify import queue
from shared.health import Health
from tests.builders_notify import Dossier, Moody, Notify, notify_settings, templates
from tests.databases import Databases


@pytest.fixture
def moody() -> Iterator[Moody]:
    mailbox = Moody(choose_ports(["mail"])["mail"])
    controller = served(mailbox)
    yield mailbox
    controller.stop()


def served(mailbox: Moody) -> Controller:
    controller = Controller(mailbox, hostname="127.0.0.1", port=mailbox.port, enable_SMTPUTF8=True)
    controller.start()
    return controller


@pytest.fixture
async def notify(databases: Databases, moody: Moody) -> Notify:
    db = await databases("notify")
    return Notify(db, moody, notify_settings(db, moody.url))


LEASE = timedelta(seconds=4)
"""Long enough that a busy machine renews it in time."""


def in_state(state: str) -> Any:
    return lambda rows: bool(rows) and all(row["state"] == state for row in rows)


async def test_a_letter_refused_for_now_is_sent_later(notify: Notify) -> None:
    notify.mailbox.answers += ["451 4.7.1 Greylisted, come back", "452 4.2.2 Full"]
    await notify.take(*Dossier().known())
    async with notify.sending():
        [row] = await notify.until(in_state("sent"))
    assert (row["attempts"], len(notify.mailbox.messages)) == (3, 1)
    assert [(each["type"], each["attempts"]) for each in await notify.said()] == [("ApplicantNotified", 3)]


async def test_a_letter_refused_for_good_is_not_tried_again_and_says_so_without_the_address(notify: Notify) -> None:
    dossier = Dossier()
    notify.mailbox.answers += [f"550 5.1.1 <{dossier.email}> User unknown"]
    await notify.take(*dossier.known())
    async with notify.sending():
        [row] = await notify.until(in_state("refused_for_good"))
    [said] = await notify.said()
    assert (said["type"], said["reason"], row["reason"]) == ("NotificationFailed", "550 5.1.1", "550 5.1.1")
    assert notify.mailbox.messages == []
    await notify.send_all()
    assert notify.mailbox.messages == []


async def test_a_letter_refused_for_too_long_is_given_up(notify: Notify) -> None:
    notify.mailbox.answers += ["451 4.3.0 Later"] * 50
    await notify.take(*Dossier().known())
    async with notify.sending(mail_give_up_after_s=0.05):
        await notify.until(in_state("refused_for_good"))
    [said] = await notify.said()
    assert said["reason"] == "refused for too long, last 451 4.3.0"


async def test_a_connection_lost_before_the_answer_sends_again_with_the_same_message_id(
    notify: Notify, moody: Moody
) -> None:
    moody.hangs_up = 1
    await notify.take(*Dossier().known())
    async with notify.sending():
        await notify.until(in_state("sent"))
    assert len(moody.messages) == 2
    assert len({message["Message-ID"] for message in moody.messages}) == 1
    assert [each["type"] for each in await notify.said()] == ["ApplicantNotified"]


async def test_with_no_mail_server_letters_wait_uncounted_and_the_process_says_so(
    databases: Databases, moody: Moody
) -> None:
    db = await databases("notify")
    port = choose_ports(["mail"])["mail"]
    notify = Notify(db, moody, notify_settings(db, f"smtp://127.0.0.1:{port}"))
    await notify.take(*Dossier().known())
    health = Health()
    async with notify.sending() as mailer:
        health.watch(mailer.progress)
        async with asyncio.timeout(60):
            while not health.missing():
                await asyncio.sleep(0.01)
        assert health.missing() == ["mailer: smtp: ConnectionRefusedError"]
        assert await queue.letters_unsent(db) == 1
        back = Moody(port)
        controller = served(back)
        [row] = await notify.until(in_state("sent"))
        async with asyncio.timeout(60):
            while health.missing():
                await asyncio.sleep(0.01)
        controller.stop()
    assert (row["attempts"], len(back.messages)) == (1, 1)
    assert await queue.letters_unsent(db) == 0


async def test_a_killed_mailers_letter_is_sent_by_another_with_the_same_message_id(
    notify: Notify, moody: Moody
) -> None:
    moody.holds = asyncio.Event()
    await notify.take(*Dossier().known())
    async with notify.sending(mail_lease_s=0.5):
        await moody.wait_for(1)
        [row] = await notify.deliveries()
        assert row["state"] == "sending"
    # The server has taken the letter, and who sent it died before recording that.
    moody.holds = None
    async with notify.sending(mail_lease_s=0.5):
        [row] = await notify.until(in_state("sent"))
    assert row["attempts"] == 2
    assert len(moody.messages) == 2
    assert {message["Message-ID"] for message in moody.messages} == {row["message_id"]}
    assert len(await notify.said()) == 1


async def test_a_living_mailer_keeps_its_claim_beyond_the_lease(notify: Notify, moody: Moody) -> None:
    moody.holds = asyncio.Event()
    await notify.take(*Dossier().known())
    async with notify.sending(mail_lease_s=LEASE.total_seconds()):
        await moody.wait_for(1)
        [claimed] = await notify.deliveries()
        async with notify.sending(mail_lease_s=LEASE.total_seconds()):
            renewed = await notify.until(lambda rows: rows[0]["claimed_until"] > claimed["claimed_until"] + LEASE * 2)
    assert renewed[0]["claim"] == claimed["claim"]
    assert len(moody.messages) == 1


async def test_several_mailers_send_each_letter_once(notify: Notify) -> None:
    dossiers = [Dossier(number=number) for number in range(1, 41)]
    await notify.take(dossiers[0].call(), *(d.contact() for d in dossiers), *(d.submitted() for d in dossiers))
    async with notify.sending(), notify.sending(), notify.sending():
        await notify.until(in_state("sent"))
    assert len(notify.mailbox.messages) == len(dossiers)
    assert len({message["Message-ID"] for message in notify.mailbox.messages}) == len(dossiers)
    assert len(await notify.said()) == len(dossiers)
    assert {len(recipients) for recipients in notify.mailbox.recipients} == {1}


async def test_a_name_that_would_add_a_header_is_refused(notify: Notify) -> None:
    for number, separator in enumerate(("\r\n", "\n", "\x85", "\u2028", "\x0b"), start=1):
        dossier = Dossier(number=number)
        name = f"Porteur{separator}Bcc: other@exemple.example"
        await notify.take(dossier.call(), dossier.contact(name=name), dossier.submitted())
    async with notify.sending():
        await notify.until(in_state("refused_for_good"))
    assert notify.mailbox.messages == []
    assert {each["reason"] for each in await notify.said()} == {"header_refused"}


@pytest.mark.parametrize("address", ["not an address", "a@", "<>", "a@b>c"])
async def test_an_address_that_is_none_stops_only_its_own_letter(notify: Notify, address: str) -> None:
    wrong, right = Dossier(number=1), Dossier(number=2)
    await notify.take(wrong.call(), wrong.contact(email=address), wrong.submitted(), right.contact(), right.submitted())
    async with notify.sending():
        await notify.until(lambda rows: {row["state"] for row in rows} == {"sent", "refused_for_good"})
    assert [str(message["To"]) for message in notify.mailbox.messages] == ["Porteur 2 <porteur-2@exemple.example>"]


async def test_an_address_beyond_ascii_is_sent_where_the_server_takes_it(notify: Notify) -> None:
    dossier = Dossier()
    await notify.take(dossier.call(), dossier.contact(email="hélène@exemple.example"), dossier.submitted())
    async with notify.sending():
        await notify.until(in_state("sent"))
    assert notify.mailbox.recipients == [["hélène@exemple.example"]]


async def test_neither_logs_nor_events_carry_a_name_or_an_address(notify: Notify) -> None:
    dossier = Dossier()
    notify.mailbox.answers += [f"451 4.7.1 <{dossier.email}> not now", f"550 5.1.1 <{dossier.email}> no"]
    with structlog.testing.capture_logs() as logs:
        await notify.take(*dossier.known(), dossier.withdrawn())
        async with notify.sending():
            await notify.until(lambda rows: {row["state"] for row in rows} <= {"sent", "refused_for_good"})
    seen = f"{logs} {await notify.said()} {[(row['reason'], row['words']) for row in await notify.deliveries()]}"
    assert dossier.email not in seen
    assert "Porteur 1" not in seen
    assert templates(notify.mailbox.messages) in (["receipt"], ["withdrawn"])
