"""What support sees and may do: letters without addresses, one more try, samples of every letter."""

from collections.abc import AsyncIterator

import httpx
import pytest

from services.notify import samples
from services.notify.app import service
from services.notify.domain.letters import TEMPLATES
from shared.identity import Staff
from shared.ids import new_id
from shared.service import make_app, make_runtime
from shared.web.problems import Problem
from tests.builders_notify import Dossier, Notify, notify_settings
from tests.databases import Databases
from tests.declared import client_of
from tests.mailbox import Mailbox

SUPPORT, REVIEWER = {"Authorization": "Bearer support"}, {"Authorization": "Bearer reviewer"}


class KnownPeople:
    """Stands for the issuer: a token is the name of a role. Tokens themselves are the identity tests' matter."""

    async def staff(self, token: str) -> Staff:
        if token not in {"support", "reviewer"}:
            raise Problem(401, "unauthenticated", "The token does not hold.")
        return Staff(f"{token}-1", frozenset({token}))


@pytest.fixture
async def notify(databases: Databases, mailbox: Mailbox) -> Notify:
    db = await databases("notify")
    return Notify(db, mailbox, notify_settings(db, mailbox.url))


@pytest.fixture
async def support(notify: Notify) -> AsyncIterator[httpx.AsyncClient]:
    runtime = make_runtime(service, notify.settings, ["api"])
    await runtime.db.close()
    runtime.db = notify.db
    app = make_app(runtime)
    app.state.issuer = KnownPeople()
    async with client_of(app, "http://notify.test", headers=SUPPORT) as client:
        yield client


async def test_support_alone_comes_in(support: httpx.AsyncClient) -> None:
    for method, path in (("GET", "/api/v1/deliveries"), ("POST", f"/api/v1/deliveries/{new_id()}/retry"),
                         ("GET", "/api/v1/templates"), ("GET", "/api/v1/templates/receipt/preview")):  # fmt: skip
        assert (await support.request(method, path, headers=REVIEWER)).status_code == 403
        assert (await support.request(method, path, headers={"Authorization": ""})).status_code == 401


async def test_the_letters_of_an_application_are_shown_without_address(
    notify: Notify, support: httpx.AsyncClient
) -> None:
    dossier, other = Dossier(number=1), Dossier(number=2)
    await notify.take(*dossier.known(), other.contact(), other.submitted(), dossier.announced("awarded"))
    await notify.send_all()
    answer = await support.get("/api/v1/deliveries", params={"application_id": dossier.id})
    waiting, sent = answer.json()["items"]
    assert (sent["template"], sent["state"], sent["attempts"], sent["language"]) == ("receipt", "sent", 1, "fr")
    assert (waiting["template"], waiting["state"], waiting["waits_for"]) == ("awarded", "waiting", ["outcome", "score"])
    assert dossier.email not in answer.text
    assert "Porteur" not in answer.text
    everyone = (await support.get("/api/v1/deliveries", params={"state": "sent"})).json()
    assert [each["application_id"] for each in everyone["items"]].count(other.id) == 1


async def test_lists_are_pages_of_50(notify: Notify, support: httpx.AsyncClient) -> None:
    dossiers = [Dossier(number=number) for number in range(1, 61)]
    await notify.take(*(dossier.submitted() for dossier in dossiers))
    first = (await support.get("/api/v1/deliveries")).json()
    rest = (await support.get("/api/v1/deliveries", params={"after": first["next"]})).json()
    assert (len(first["items"]), len(rest["items"]), rest["next"]) == (50, 10, None)
    assert len({each["delivery_id"] for each in first["items"] + rest["items"]}) == 60


async def test_a_letter_refused_for_good_is_sent_when_support_asks_for_one_more_try(
    notify: Notify, support: httpx.AsyncClient
) -> None:
    notify.mailbox.answers += ["550 5.1.1 no"]
    await notify.take(*Dossier().known())
    async with notify.sending():
        [row] = await notify.until(lambda rows: rows[0]["state"] == "refused_for_good")
        path = f"/api/v1/deliveries/{row['delivery_id']}/retry"
        first = await support.post(path)
        assert (first.status_code, first.json()["retried_by"]) == (202, "support-1")
        [row] = await notify.until(lambda rows: rows[0]["state"] == "sent")
    assert (await support.post(path)).json()["code"] == "state_conflict"
    assert [each["type"] for each in await notify.said()] == ["NotificationFailed", "ApplicantNotified"]
    assert {each["message_id"] for each in await notify.said()} == {row["message_id"]}
    assert (await support.post(f"/api/v1/deliveries/{new_id()}/retry")).json()["code"] == "delivery_unknown"


async def test_asking_twice_for_one_more_try_is_harmless(notify: Notify, support: httpx.AsyncClient) -> None:
    notify.mailbox.answers += ["550 5.1.1 no"]
    await notify.take(*Dossier().known())
    async with notify.sending():
        [row] = await notify.until(lambda rows: rows[0]["state"] == "refused_for_good")
    path = f"/api/v1/deliveries/{row['delivery_id']}/retry"
    first, again = await support.post(path), await support.post(path)
    assert first.json() == again.json()
    await notify.send_all()
    assert len(notify.mailbox.messages) == 1


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("language", ["fr", "en"])
async def test_every_letter_can_be_looked_at(support: httpx.AsyncClient, template: str, language: str) -> None:
    path, chosen = f"/api/v1/templates/{template}/preview", {"language": language}
    page = await support.get(path, params={**chosen, "format": "html"})
    text = await support.get(path, params={**chosen, "format": "text"})
    assert page.status_code == text.status_code == 200
    assert f'lang="{language}"' in page.text
    assert "script" not in page.headers["Content-Security-Policy"]
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    assert "{" not in text.text
    assert set(TEMPLATES) == set((await support.get("/api/v1/templates")).json()["items"])


@pytest.mark.parametrize("template", [name for name in TEMPLATES if name != "sign_in"])
@pytest.mark.parametrize("language", ["fr", "en"])
async def test_every_letter_about_an_application_names_its_reference_above_its_footer(
    support: httpx.AsyncClient, template: str, language: str
) -> None:
    chosen = {"language": language, "format": "text"}
    text = (await support.get(f"/api/v1/templates/{template}/preview", params=chosen)).text
    assert samples.ABOUT.reference in text.partition("\n-- \n")[0].partition("\n")[2]


@pytest.mark.parametrize("template", ["awarded", "withdrawn", "declined", "revoked"])
async def test_the_organiser_s_name_stands_apart_so_that_it_needs_no_article(
    support: httpx.AsyncClient, template: str
) -> None:
    chosen = {"language": "fr", "format": "text"}
    text = (await support.get(f"/api/v1/templates/{template}/preview", params=chosen)).text
    assert "organisateur de l’appel, Fonds Exemple" in " ".join(text.split())


async def test_what_is_not_met_is_not_said_with_two_negations(support: httpx.AsyncClient) -> None:
    for language, said in (("fr", "Condition de l’appel non remplie\u00a0:"), ("en", "that is not met:")):
        chosen = {"language": language, "format": "text"}
        assert said in (await support.get("/api/v1/templates/inadmissible/preview", params=chosen)).text


async def test_a_letter_that_is_not_written_here_is_unknown(support: httpx.AsyncClient) -> None:
    answer = await support.get("/api/v1/templates/reminder/preview")
    assert (answer.status_code, answer.json()["code"]) == (404, "template_unknown")


async def test_status_counts_letters_that_have_not_ended(notify: Notify, support: httpx.AsyncClient) -> None:
    dossier = Dossier()
    await notify.take(dossier.submitted())
    assert (await support.get("/status")).json()["letters_unsent"] == 1
    await notify.take(dossier.call(), dossier.contact())
    await notify.send_all()
    assert (await support.get("/status")).json()["letters_unsent"] == 0
