"""Intake's pages in both languages: calls, laureates, and an application behind its own link."""

import re
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from jinja2 import Environment

from services.intake.pages.layout import FOREIGN_FORM
from shared.events.deposit import deposited_sha256
from shared.events.funding import GrantReleased, RoundAnnounced
from shared.events.intake import ApplicationSubmitted, ApplicationWithdrawn, GrantAccepted, GrantDeclined
from shared.events.notify import ApplicantNotified
from shared.ids import new_id
from shared.web.languages import catalogue
from tests.builders_intake import ANNOUNCED, ANSWER_BY, CALL, CLOSES, GRANT, R1, Applicant, IntakeBench, life
from tests.databases import Databases

INTAKE = Path(__file__).resolve().parents[2] / "services" / "intake"
SHARED = INTAKE.parents[1] / "shared" / "web"
FRENCH = {"Accept-Language": "fr"}
ENGLISH = {"Accept-Language": "en"}
OWN_FORM = {"Sec-Fetch-Site": "same-origin", **ENGLISH}


@pytest.fixture
async def intake(databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> IntakeBench:
    bench = await IntakeBench.start(databases, tmp_path, monkeypatch)
    await bench.opened()
    return bench


async def let_in(applicant: Applicant) -> httpx.Response:
    """Follow the link of the receipt; the cookie stays in the client."""
    address = applicant.receipt["status_url"].removeprefix("http://releve.example.org")
    return await applicant.bench.http.get(address, headers=ENGLISH)


async def test_the_calls_are_told_with_their_dates_in_both_languages(intake: IntakeBench) -> None:
    french = (await intake.http.get("/", headers=FRENCH)).text
    english = (await intake.http.get("/", headers=ENGLISH)).text
    assert (await intake.http.get("/calls", headers=FRENCH)).text == french
    assert "Appels à projets" in french
    assert "31 juillet 2021 à 23\u00a0h\u00a059 (heure de Paris)" in french
    assert "Innovation call for projects 2021" in english
    assert "31 July 2021 at 23:59 (Paris time)" in english
    page = (await intake.http.get(f"/calls/{CALL}", headers=ENGLISH)).text
    for told in (
        "€4,000,000",
        "€10,000 to €40,000",
        "Pedagogical engineering",
        "24 September 2021 at 10:00",
        "a score of 60 out of 100",
        "At least 2 reviewers read",
        "by other structures <span",
    ):
        assert told in page


async def test_what_is_nowhere_is_refused_in_the_same_way_at_every_address(intake: IntakeBench) -> None:
    pages, documents = set(), set()
    for nowhere in ("/nope", "/calls/nowhere", "/calls/No%00", "/calls/nowhere/laureates"):
        page = await intake.http.get(nowhere, headers={"Accept": "text/html,*/*;q=0.8", **ENGLISH})
        document = await intake.http.get(nowhere, headers={"Accept": "*/*"})
        assert (page.status_code, document.status_code) == (404, 404)
        pages.add(page.text.partition("<main")[2])
        documents.add(document.headers["content-type"])
    assert (len(pages), documents) == (1, {"application/problem+json"})
    assert "<h1>Page not found</h1>" in pages.pop()


@pytest.mark.parametrize("path", [
    "/", f"/calls/{CALL}", f"/calls/{CALL}/laureates", "/sign-in", f"/api/v1/calls/{CALL}", "/docs", "/openapi.json",
    "/static/releve.css", "/healthz",
])  # fmt: skip
async def test_head_is_answered_as_get_without_its_body(intake: IntakeBench, path: str) -> None:
    head, whole = await intake.http.head(path), await intake.http.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers == whole.headers
    assert (await intake.http.head("/sign-out")).status_code == 405


async def test_laureates_are_public_only_after_the_announcement(intake: IntakeBench) -> None:
    applicant = await intake.deposited(project__title="<b>Lovelace</b>")
    await applicant.is_awarded(announced=False)
    before = (await intake.http.get(f"/calls/{CALL}/laureates", headers=ENGLISH)).text
    assert "No laureate has been announced yet." in before
    assert "Lovelace" not in before
    await applicant.is_awarded()
    after = (await intake.http.get(f"/calls/{CALL}/laureates", headers=FRENCH)).text
    assert "1 projet, 30\u202f000\u00a0€ en tout." in after
    assert "&lt;b&gt;Lovelace&lt;/b&gt;" in after
    assert "Ada Tech School" in after


async def test_a_link_opens_the_application_once_and_leaves_the_address(intake: IntakeBench) -> None:
    applicant = await intake.deposited()
    entered = await let_in(applicant)
    assert entered.status_code == 303
    assert entered.headers["location"] == f"/applications/{applicant.id}"
    cookie = entered.headers["set-cookie"].lower()
    assert all(part in cookie for part in ("httponly", "samesite=lax", f"path=/applications/{applicant.id}"))
    page = await intake.http.get(f"/applications/{applicant.id}", headers=ENGLISH)
    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-store"
    assert applicant.receipt["access_token"] not in page.text
    assert "INNO-2021-0001" in page.text
    assert "We have received your application." in page.text


async def test_page_interface_and_event_give_the_same_digest_of_the_deposit(intake: IntakeBench) -> None:
    applicant = await intake.deposited(
        organisation__name="École d’été", organisation__partner={"name": "Épure", "siret": "00000612200014"}
    )
    [event] = await intake.said(ApplicationSubmitted)
    digest = deposited_sha256(event)
    assert (await applicant.sees())["deposited_sha256"] == digest
    await let_in(applicant)
    assert digest in (await intake.http.get(f"/applications/{applicant.id}", headers=FRENCH)).text


async def test_a_letter_is_told_with_what_it_is_about(intake: IntakeBench) -> None:
    applicant = await intake.deposited()
    await intake.learn(*life(applicant.id)[:4])
    late = applicant.about(
        ApplicantNotified, ANNOUNCED + timedelta(days=2), delivery_id=new_id(), template="awarded", language="fr",
        message_id="<2@releve>", attempts=3,
    )  # fmt: skip
    await intake.learn(late)
    await let_in(applicant)
    page = (await intake.http.get(f"/applications/{applicant.id}", headers=ENGLISH)).text
    current = page.partition('aria-current="step"')[2].partition("</li>")[0]
    assert "Grant offered" in current
    assert "We wrote to you by e-mail on 26 September 2021." in current


async def test_without_the_link_the_page_stays_closed_and_tells_nothing(intake: IntakeBench) -> None:
    applicant, other = await intake.deposited(), await intake.deposited()
    address = f"/applications/{applicant.id}"
    closed = await intake.http.get(address, headers=ENGLISH)
    wrong = await intake.http.get(f"{address}?token={other.receipt['access_token']}", headers=ENGLISH)
    unknown = await intake.http.get("/applications/nothing?token=1.x", headers=ENGLISH)
    assert [each.status_code for each in (closed, wrong, unknown)] == [401, 403, 403]
    assert all("INNO-2021" not in each.text and "own link" in each.text for each in (closed, wrong, unknown))
    assert all("set-cookie" not in each.headers for each in (closed, wrong, unknown))


async def test_sealed_pages_are_the_same_to_the_letter(intake: IntakeBench) -> None:
    awarded, waiting = await intake.deposited(), await intake.deposited()
    intake.at(CLOSES + timedelta(hours=1))
    await intake.close_due()
    await awarded.is_awarded(announced=False)
    seen = []
    for applicant in (awarded, waiting):
        await let_in(applicant)
        text = (await intake.http.get(f"/applications/{applicant.id}", headers=FRENCH)).text
        seen.append(text.replace(applicant.id, "ID").replace(applicant.receipt["reference"], "REFERENCE"))
    assert seen[0] == seen[1]
    assert "En instruction" in seen[0]


async def test_an_offer_is_accepted_on_the_page(intake: IntakeBench) -> None:
    applicant = await intake.deposited()
    await applicant.is_awarded()
    intake.at(ANNOUNCED + timedelta(days=1))
    await let_in(applicant)
    address = f"/applications/{applicant.id}"
    page = (await intake.http.get(address, headers=FRENCH)).text
    assert "24 octobre 2021 à 23\u00a0h\u00a059" in page
    assert "Accepter la subvention" in page
    done = await intake.http.post(f"{address}/accept", headers=OWN_FORM)
    assert (done.status_code, done.headers["location"]) == (303, address)
    assert len(await intake.said(GrantAccepted)) == 1
    after = (await intake.http.get(address, headers=FRENCH)).text
    assert "Subvention acceptée" in after
    assert "Accepter la subvention" not in after
    too_late = await intake.http.post(f"{address}/decline", headers=OWN_FORM)
    assert too_late.status_code == 409
    assert "This is not possible any more" in too_late.text


@pytest.mark.parametrize(("steps", "said"), [
    (4, "You did not answer the offer by 24 October 2021 at 23:59 (Paris time)"),
    (6, "The project did not start in time"),
])  # fmt: skip
async def test_a_lapsed_grant_names_the_step_that_did_not_come(intake: IntakeBench, steps: int, said: str) -> None:
    applicant = await intake.deposited()
    released = applicant.about(
        GrantReleased, ANSWER_BY + timedelta(days=200), grant_id=GRANT, amount_eur=30000, reason="lapsed",
        ledger_entry=9,
    )  # fmt: skip
    await intake.learn(*life(applicant.id)[:steps], released)
    await let_in(applicant)
    assert said in (await intake.http.get(f"/applications/{applicant.id}", headers=ENGLISH)).text


async def test_an_answered_offer_that_lapses_was_not_signed(intake: IntakeBench) -> None:
    applicant = await intake.deposited()
    await applicant.is_awarded()
    intake.at(ANSWER_BY + timedelta(hours=1))
    await let_in(applicant)
    page = (await intake.http.get(f"/applications/{applicant.id}", headers=FRENCH)).text
    assert "Vous n’avez pas répondu à la proposition avant le 24 octobre 2021" in page
    intake.at(ANSWER_BY)
    await applicant.does("accept")
    await intake.learn(
        applicant.about(
            GrantReleased, ANSWER_BY + timedelta(days=100), grant_id=GRANT, amount_eur=30000, reason="lapsed",
            ledger_entry=9,
        )
    )  # fmt: skip
    assert (
        "La convention n’a pas été signée"
        in (await intake.http.get(f"/applications/{applicant.id}", headers=FRENCH)).text
    )


async def test_an_announced_round_says_so_once(intake: IntakeBench) -> None:
    intake.at(CLOSES + timedelta(hours=1))
    await intake.close_due()
    await intake.learn(
        RoundAnnounced(occurred_at=ANNOUNCED, call_id=CALL, call_version=1, round_id=R1, announced_at=ANNOUNCED)
    )
    page = (await intake.http.get(f"/calls/{CALL}", headers=FRENCH)).text
    assert page.count("Résultats annoncés") == 2, "the tag of this round, the date of the next"
    assert "Le 24 septembre 2021 à 10" in page


async def test_a_reference_in_the_list_of_laureates_stays_whole(intake: IntakeBench) -> None:
    await (await intake.deposited()).is_awarded()
    page = (await intake.http.get(f"/calls/{CALL}/laureates", headers=ENGLISH)).text
    assert re.search('class="nowrap">INNO-2021-0001</td>', page)


async def test_an_offer_is_declined_and_an_application_withdrawn_on_the_page(intake: IntakeBench) -> None:
    declines, withdraws = await intake.deposited(), await intake.deposited()
    await declines.is_awarded()
    intake.at(ANSWER_BY)
    await let_in(declines)
    done = await intake.http.post(f"/applications/{declines.id}/decline", headers=OWN_FORM)
    assert (done.status_code, len(await intake.said(GrantDeclined))) == (303, 1)
    await let_in(withdraws)
    address = f"/applications/{withdraws.id}/withdraw"
    wrong = await intake.http.post(address, data={"reason": "  "}, headers=OWN_FORM)
    assert wrong.status_code == 422
    assert "There is a problem" in wrong.text
    done = await intake.http.post(address, data={"reason": "Plus de <moyens>."}, headers=OWN_FORM)
    assert done.status_code == 303
    assert [each.reason for each in await intake.said(ApplicationWithdrawn)] == ["Plus de <moyens>."]


FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {"Origin": "http://evil.example.org"},
    {"Origin": "null"},
    {"Origin": "http://releve.example.org", "Sec-Fetch-Site": "cross-site"},
    {},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_a_form_from_elsewhere_is_refused(intake: IntakeBench, headers: dict[str, str]) -> None:
    applicant = await intake.deposited()
    await let_in(applicant)
    answer = await intake.http.post(
        f"/applications/{applicant.id}/withdraw", data={"reason": "x"}, headers=headers | ENGLISH
    )
    assert answer.status_code == 403
    assert await intake.said(ApplicationWithdrawn) == []


async def test_a_form_of_an_older_browser_names_its_origin(intake: IntakeBench) -> None:
    applicant = await intake.deposited()
    await let_in(applicant)
    headers = {"Origin": "http://releve.example.org"}
    answer = await intake.http.post(f"/applications/{applicant.id}/withdraw", data={"reason": "x"}, headers=headers)
    assert answer.status_code == 303


async def test_the_style_sheet_is_served(intake: IntakeBench) -> None:
    page = (await intake.http.get("/")).text
    sheets = re.findall(r'href="(/static/[^"]+)"', page)
    assert sheets
    assert [(await intake.http.get(each)).status_code for each in sheets] == [200] * len(sheets)


def test_every_sentence_of_the_pages_is_there_in_french() -> None:
    folders = (SHARED / "translations", INTAKE / "translations")
    known = catalogue("fr", folders)
    environment = Environment(extensions=["jinja2.ext.i18n", "jinja2.ext.do"], autoescape=True)
    said = {*FOREIGN_FORM}
    for template in (INTAKE / "templates").glob("*.html"):
        for _, _, message in environment.extract_translations(template.read_text(encoding="utf-8")):
            said.add(message if isinstance(message, str) else message[0])
    missing = {each for each in said if known.ugettext(each) == each and known.ungettext(each, each, 2) == each}
    assert missing <= {"Conditions"}  # the same word
