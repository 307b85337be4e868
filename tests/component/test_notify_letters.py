"""Which letters are sent, and when: each outcome once, none before its announcement, whatever comes first."""

import itertools
import random
from dataclasses import replace

import pytest

from services.notify import samples
from shared.events.base import Event
from shared.messaging.records import RawRecord
from tests.builders_notify import APPEAL, Dossier, Notify, body, notify_settings, templates
from tests.databases import Databases
from tests.mailbox import Mailbox


@pytest.fixture
async def notify(databases: Databases, mailbox: Mailbox) -> Notify:
    db = await databases("notify")
    return Notify(db, mailbox, notify_settings(db, mailbox.url))


def test_the_template_of_the_tests_is_a_whole_call() -> None:
    assert samples.CALL.round(samples.ROUND).id == samples.ROUND


async def test_a_submission_gives_a_receipt_with_reference_deposit_time_and_digest(notify: Notify) -> None:
    dossier = Dossier()
    await notify.take(*dossier.known())
    await notify.send_all()
    [receipt] = notify.mailbox.messages
    assert (receipt["To"], receipt["X-Releve-Template"]) == ("Porteur 1 <porteur-1@exemple.example>", "receipt")
    assert receipt["Auto-Submitted"] == "auto-generated"
    async with notify.db.transaction() as tx:
        digest = await tx.fetch_value("SELECT deposited_sha256 FROM application")
    for kind in ("plain", "html"):
        text = body(receipt, kind)
        assert dossier.reference in text
        assert "31 janvier 2030 à 9\u00a0h\u00a000 (heure de Paris)" in text
        assert digest in text
        assert f"https://releve.example/applications/{dossier.id}" in text
    [said] = await notify.said()
    assert (said["type"], said["template"], said["language"], said["attempts"]) == (
        "ApplicantNotified", "receipt", "fr", 1,
    )  # fmt: skip
    assert said["message_id"] == receipt["Message-ID"]


def award_facts(dossier: Dossier) -> dict[str, Event]:
    return {
        "submitted": dossier.submitted(), "contact": dossier.contact(), "call": dossier.call(),
        "scored": dossier.scored(), "awarded": dossier.awarded(), "announced": dossier.announced("awarded"),
    }  # fmt: skip


async def test_the_award_is_told_once_after_its_announcement_in_any_order_of_arrival(notify: Notify) -> None:
    names = list(award_facts(Dossier()))
    orders = random.Random(7).sample(list(itertools.permutations(names)), 120)
    steps: list[list[RawRecord]] = [[] for _ in names]
    for number, order in enumerate(orders, start=1):
        dossier = Dossier(number=number, call_id=f"call-{number}")
        # Numbered as their topics number them: the award stands before its announcement on the same key.
        records = {name: notify.record(event) for name, event in award_facts(dossier).items()}
        for step, name in enumerate(order):
            steps[step].append(records[name])
    for step, records_of_step in enumerate(steps):
        await notify.take(*sorted(records_of_step, key=lambda record: record.topic))
        await notify.send_all()
        told = templates(notify.mailbox.messages).count("awarded")
        assert told == (len(orders) if step == len(steps) - 1 else 0)
    assert templates(notify.mailbox.messages).count("receipt") == len(orders)
    assert len({message["Message-ID"] for message in notify.mailbox.messages}) == 2 * len(orders)
    said = await notify.said()
    assert {each["type"] for each in said} == {"ApplicantNotified"}
    assert len(said) == 2 * len(orders)


async def test_a_sealed_outcome_waits_for_its_announcement(notify: Notify) -> None:
    dossier = Dossier()
    await notify.take(*dossier.known(), dossier.scored(), dossier.awarded())
    await notify.send_all()
    assert templates(notify.mailbox.messages) == ["receipt"]
    assert [each["template"] for each in await notify.deliveries()] == ["receipt"]


async def test_an_outcome_replaced_while_sealed_gives_no_letter(notify: Notify) -> None:
    dossier = Dossier()
    await notify.take(*dossier.known(), dossier.scored(), dossier.waitlisted(), dossier.awarded(amount_eur=20000))
    await notify.take(dossier.announced("awarded"))
    await notify.send_all()
    assert templates(notify.mailbox.messages) == ["awarded", "receipt"]
    assert "20\u202f000\u00a0€" in body(notify.letter("awarded"), "plain")


async def test_the_letter_is_about_the_fact_that_stood_at_the_announcement(notify: Notify) -> None:
    dossier = Dossier()
    await notify.take(*dossier.known(), dossier.scored())
    sealed, announced = notify.record(dossier.awarded(amount_eur=20000)), notify.record(dossier.announced("awarded"))
    later = notify.record(dossier.awarded(sealed=False, amount_eur=35000))
    await notify.take(later, announced)
    await notify.send_all()
    await notify.take(sealed)
    await notify.send_all()
    told = [body(m, "plain") for m in notify.mailbox.messages if m["X-Releve-Template"] == "awarded"]
    assert ["Subvention proposée\u00a0: 35\u202f000" in text for text in told] == [True, False]
    assert "Subvention proposée\u00a0: 20\u202f000" in told[1]


async def test_outcomes_after_the_announcement_are_told_at_once(notify: Notify) -> None:
    dossier = Dossier()
    await notify.take(*dossier.known(), dossier.scored(), dossier.waitlisted(), dossier.announced("waitlisted"))
    await notify.take(dossier.awarded(sealed=False))
    await notify.send_all()
    assert templates(notify.mailbox.messages) == ["awarded", "receipt", "waitlisted"]


async def test_a_refusal_gives_reasons_feedback_and_the_ways_to_appeal(notify: Notify) -> None:
    dossier = Dossier()
    await notify.take(*dossier.known(), dossier.scored(score="54.20"), dossier.not_selected())
    await notify.take(dossier.announced("not_selected"))
    await notify.send_all()
    text = body(notify.letter("not_selected"), "plain")
    for words in ("54,20 sur 100", "fixée à 60,00", "Insuffisant\u00a0: 2,00", "Solidité du partenariat", APPEAL):
        assert words in text


async def test_inadmissibility_is_told_on_its_announcement_with_the_failed_checks(notify: Notify) -> None:
    dossier = Dossier()
    await notify.take(*dossier.known(), dossier.announced("inadmissible"))
    await notify.send_all()
    assert templates(notify.mailbox.messages) == ["receipt"]
    await notify.take(dossier.inadmissible())
    await notify.send_all()
    text = body(notify.letter("inadmissible"), "plain")
    for words in ("entre 10\u202f000\u00a0€ et 40\u202f000\u00a0€", "Trop cher.", APPEAL):
        assert words.replace("\u202f", " ").replace("\u00a0", " ") in text.replace("\u202f", " ").replace("\u00a0", " ")


async def test_a_withdrawal_is_acknowledged_in_the_same_words_whatever_was_decided(notify: Notify) -> None:
    early, decided = Dossier(number=1), Dossier(number=2)
    await notify.take(*early.known(), *decided.known(), decided.scored(), decided.awarded())
    await notify.take(early.withdrawn(), decided.withdrawn(), decided.released("withdrawn", sealed=True))
    await notify.send_all()
    told = [body(m, "plain") for m in notify.mailbox.messages if m["X-Releve-Template"] == "withdrawn"]
    same = {
        text.replace(each.id, "").replace(each.reference, "").replace(f"Porteur {each.number}", "")
        .replace(f"Projet {each.number}", "")
        for each in (early, decided) for text in told if each.id in text
    }  # fmt: skip
    assert (len(told), len(same)) == (2, 1)
    assert templates(notify.mailbox.messages) == ["receipt", "receipt", "withdrawn", "withdrawn"]


@pytest.mark.parametrize(("reason", "letter"), [("declined", ["declined"]), ("lapsed", ["lapsed"]),
                                                ("revoked", ["revoked"]), ("withdrawn", [])])  # fmt: skip
async def test_a_released_grant_is_told_unless_the_withdrawal_was_acknowledged(
    notify: Notify, reason: str, letter: list[str]
) -> None:
    dossier = Dossier()
    await notify.take(*dossier.known(), dossier.released(reason))
    await notify.send_all()
    assert templates(notify.mailbox.messages) == sorted(["receipt", *letter])


async def test_letters_are_in_the_applicants_language_and_follow_a_change(notify: Notify) -> None:
    dossier = Dossier(language="en")
    await notify.take(*dossier.known())
    await notify.send_all()
    await notify.take(dossier.contact(language="fr"), dossier.withdrawn())
    await notify.send_all()
    receipt, withdrawal = notify.mailbox.messages
    assert (receipt["Subject"], receipt["Content-Language"]) == (f"Application received: {dossier.reference}", "en")
    assert withdrawal["Subject"] == f"Retrait enregistré\u00a0: {dossier.reference}"
    assert [each["language"] for each in await notify.said()] == ["en", "fr"]


async def test_a_later_version_of_the_call_is_waited_for(notify: Notify) -> None:
    dossier = Dossier()
    await notify.take(*dossier.known())
    later = dossier.withdrawn().model_copy(update={"call_version": 2})
    await notify.take(later)
    await notify.send_all()
    assert templates(notify.mailbox.messages) == ["receipt"]
    assert [each["waits_for"] for each in await notify.deliveries() if each["state"] == "waiting"] == [["call"]]
    await notify.take(dossier.call(version=2))
    await notify.take(dossier.call())
    await notify.send_all()
    assert templates(notify.mailbox.messages) == ["receipt", "withdrawn"]


async def test_one_letter_carries_no_other_applicants_words(notify: Notify) -> None:
    one, other = Dossier(number=1), Dossier(number=2)
    await notify.take(*one.known(), *other.known())
    await notify.send_all()
    for message, recipients in zip(notify.mailbox.messages, notify.mailbox.recipients, strict=True):
        mine, others = (one, other) if recipients == [one.email] else (other, one)
        assert mine.reference in body(message, "html")
        assert others.reference not in message.as_string()
        assert others.email not in message.as_string()


async def test_what_people_type_is_text_in_the_letter(notify: Notify) -> None:
    dossier = Dossier()
    mischievous = dossier.submitted().model_dump(mode="json")
    mischievous["project"]["title"] = "<script>alert(1)</script> {{ 7*7 }} % & “"
    event = type(dossier.submitted()).model_validate(mischievous)
    await notify.take(dossier.call(), dossier.contact(name="A <b>"), event)
    await notify.send_all()
    [receipt] = notify.mailbox.messages
    assert "<script>" not in body(receipt, "html")
    assert "&lt;script&gt;alert(1)&lt;/script&gt; {{ 7*7 }}" in body(receipt, "html")
    assert "<script>alert(1)</script> {{ 7*7 }}" in body(receipt, "plain").replace("\n", " ")


async def test_the_same_event_under_two_dossiers_has_two_message_ids(notify: Notify) -> None:
    one = Dossier(number=1)
    two = replace(Dossier(number=2), applicant_id=one.applicant_id)
    await notify.take(one.call(), one.contact(), one.submitted(), two.submitted())
    await notify.send_all()
    assert len({message["Message-ID"] for message in notify.mailbox.messages}) == 2
