"""Contacts: nothing older restores what was erased, and letters still due end without an address."""

import pytest

from services.notify import queue
from shared.events.intake import SignInRequested
from shared.messaging.records import RawRecord, pack_headers
from tests.builders_notify import NOW, Dossier, Notify, body, notify_settings, templates
from tests.databases import Databases
from tests.mailbox import Mailbox


@pytest.fixture
async def notify(databases: Databases, mailbox: Mailbox) -> Notify:
    db = await databases("notify")
    return Notify(db, mailbox, notify_settings(db, mailbox.url))


async def contact(notify: Notify) -> dict[str, object]:
    async with notify.db.transaction() as tx:
        row = await tx.fetch_one("SELECT sequence, name, email, language FROM contact")
    assert row is not None
    return dict(row)


NOBODY = {"name": None, "email": None, "language": None}


async def test_an_older_contact_changes_nothing(notify: Notify) -> None:
    dossier = Dossier()
    old, new = notify.record(dossier.contact(name="Avant")), notify.record(dossier.contact(name="Après"))
    await notify.take(new)
    await notify.take(old)
    assert (await contact(notify))["name"] == "Après"


async def test_an_erased_contact_is_not_restored_by_anything_older(notify: Notify) -> None:
    dossier = Dossier()
    old = notify.record(dossier.contact())
    erased = notify.tombstone(dossier.applicant_id)
    await notify.take(erased)
    await notify.take(old)
    assert await contact(notify) == {"sequence": 2, **NOBODY}
    await notify.take(dossier.contact(name="De retour"))
    assert (await contact(notify))["name"] == "De retour"


async def test_letters_still_due_end_as_contact_erased(notify: Notify) -> None:
    dossier, other = Dossier(number=1), Dossier(number=2)
    await notify.take(dossier.call(), dossier.contact(), dossier.submitted(), other.contact(), other.submitted())
    await notify.take(notify.tombstone(dossier.applicant_id))
    await notify.send_all()
    assert notify.mailbox.recipients == [[other.email]]
    said = {each["application_id"]: each for each in await notify.said()}
    assert (said[dossier.id]["type"], said[dossier.id]["reason"]) == ("NotificationFailed", "contact_erased")
    assert said[other.id]["type"] == "ApplicantNotified"
    assert await queue.letters_unsent(notify.db) == 0


async def test_a_letter_that_becomes_due_after_the_erasure_ends_too(notify: Notify) -> None:
    dossier = Dossier()
    await notify.take(*dossier.known())
    await notify.send_all()
    await notify.take(notify.tombstone(dossier.applicant_id), dossier.scored(), dossier.awarded(sealed=False))
    await notify.send_all()
    assert templates(notify.mailbox.messages) == ["receipt"]
    assert [each["type"] for each in await notify.said()] == ["ApplicantNotified", "NotificationFailed"]


async def test_a_letter_refused_for_now_ends_when_its_contact_is_erased(notify: Notify) -> None:
    dossier = Dossier()
    notify.mailbox.answers += ["451 4.7.1 Later"]
    await notify.take(*dossier.known())
    async with notify.sending(mail_retry_first_s=600, mail_retry_longest_s=600):
        await notify.until(lambda rows: rows[0]["state"] == "refused_for_now")
        await notify.take(notify.tombstone(dossier.applicant_id))
        [row] = await notify.until(lambda rows: rows[0]["state"] == "erased")
    assert (row["reason"], row["words"]) == ("contact_erased", {})
    assert notify.mailbox.messages == []


async def test_no_trace_of_an_erased_applicant_is_left(notify: Notify) -> None:
    dossier = Dossier()
    await notify.take(*dossier.known(), dossier.withdrawn())
    await notify.send_all()
    # A record that was set aside and drained before is kept, but what it said of the person is not.
    raw = notify.record(dossier.contact())
    async with notify.db.transaction() as tx:
        await tx.execute(
            'INSERT INTO dead_letter (id, consumer, topic, partition, "offset", key, value, headers, timestamp_ms, '
            "reason, attempts, replayed_at) VALUES (gen_random_uuid(), 'notify.intake.contacts', :topic, 0, 1, :key, "
            ":value, :headers, 0, 'x', 3, now())",
            topic=raw.topic, key=raw.key, value=raw.value, headers=pack_headers(raw.headers),
        )  # fmt: skip
    consumer_record: RawRecord = notify.tombstone(dossier.applicant_id)
    await notify.take(consumer_record, aside=1)
    async with notify.db.transaction() as tx:
        tables = await tx.fetch_all("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        rows = [
            str(dict(row))
            for table in tables
            for row in await tx.fetch_all(f"SELECT to_jsonb(t) AS row FROM {table['tablename']} t")  # noqa: S608
        ]
    hexed = dossier.email.encode().hex()
    assert not [row for row in rows if dossier.email in row or "Porteur 1" in row or hexed in row]


def sign_in(dossier: Dossier, minutes: int) -> SignInRequested:
    expires_at = NOW.replace(year=2100, minute=minutes)
    asked_at = expires_at.replace(minute=0)
    return SignInRequested(
        occurred_at=asked_at, applicant_id=dossier.applicant_id, link="https://releve.example/s/secret",
        expires_at=expires_at,
    )  # fmt: skip


async def test_a_sign_in_link_is_sent_and_then_forgotten(notify: Notify) -> None:
    dossier = Dossier(language="en")
    await notify.take(sign_in(dossier, 15))
    await notify.take(dossier.contact())
    await notify.send_all()
    text = body(notify.letter("sign_in"), "plain")
    assert "https://releve.example/s/secret" in text
    assert "within 15 minutes" in text.replace("\r\n", " ")
    [row] = await notify.deliveries()
    assert (row["state"], row["words"]) == ("sent", {})
    assert await notify.said() == []


async def test_a_sign_in_link_that_has_expired_is_not_sent(notify: Notify) -> None:
    dossier = Dossier()
    late = sign_in(dossier, 15)
    late = late.model_copy(update={"expires_at": late.expires_at.replace(year=2001)})
    await notify.take(dossier.contact(), late)
    await notify.send_all()
    [row] = await notify.deliveries()
    assert (row["state"], row["reason"]) == ("refused_for_good", "link_expired")
    assert notify.mailbox.messages == []
