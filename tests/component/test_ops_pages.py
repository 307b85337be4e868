"""The pages of ops: who is let in, what they show, in both languages, and that they hold without a script."""

import re
from collections.abc import AsyncIterator
from datetime import UTC
from pathlib import Path
from typing import get_args

import pytest

from services.ops.pages import pages
from shared.history.fold import Status
from shared.history.waiting import SENTENCES
from shared.web.languages import HERE, catalogue
from tests.builders_history import Story, raw_of, whole_story
from tests.builders_ops import Ops, running_ops
from tests.databases import Databases

TEMPLATES = Path(__file__).resolve().parents[2] / "services" / "ops" / "templates"
FR, EN = {"Accept-Language": "fr"}, {"Accept-Language": "en"}


@pytest.fixture
async def ops(databases: Databases) -> AsyncIterator[Ops]:
    async with running_ops(await databases("ops")) as running:
        yield running


@pytest.fixture
async def story(ops: Ops) -> Story:
    told = whole_story()
    await ops.take(told.past.records)
    return told


def sign_in(ops: Ops) -> None:
    ops.client.cookies.set("releve_operator", "operator")


async def test_a_stranger_is_asked_to_sign_in(ops: Ops) -> None:
    for path in ("/", "/applications/INNO-2021-0001"):
        answer = await ops.client.get(path, headers=FR)
        assert answer.status_code == 401
        assert "Se connecter en tant qu’exploitant" in answer.text
    assert "Sign in as an operator" in (await ops.client.get("/", headers=EN)).text


async def test_a_pasted_token_lets_in_by_a_cookie_that_no_script_can_read(ops: Ops) -> None:
    answer = await ops.client.post("/sign-in", data={"token": " operator\n"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("releve_operator=operator;")
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert (await ops.client.get("/")).status_code == 200
    await ops.client.post("/sign-out")
    assert (await ops.client.get("/")).status_code == 401


async def test_a_token_in_the_address_leaves_it_at_once(ops: Ops) -> None:
    answer = await ops.client.get("/", params={"token": "operator", "topic": "review.scores", "lang": "en"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/?topic=review.scores&lang=en")
    assert "releve_operator=operator" in answer.headers["set-cookie"]


@pytest.mark.parametrize(
    ("token", "status", "said"), [("officer", 403, "is not an operator"), ("old", 401, "does not hold any more")]
)
async def test_others_are_told_why_they_stay_outside(ops: Ops, token: str, status: int, said: str) -> None:
    for answer in (await ops.client.post("/sign-in", data={"token": token}, headers=EN),
                   await ops.client.get("/", params={"token": token}, headers=EN)):  # fmt: skip
        assert answer.status_code == status
        assert said in answer.text
        assert "set-cookie" not in answer.headers


async def test_another_site_cannot_sign_anybody_in(ops: Ops) -> None:
    answer = await ops.client.post("/sign-in", data={"token": "operator"}, headers={"Sec-Fetch-Site": "cross-site"})
    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)


async def test_the_latest_events_stand_there_without_a_script(ops: Ops, story: Story) -> None:
    sign_in(ops)
    page = (await ops.client.get("/", headers=EN)).text
    assert page.count("<tr") == 1 + len(story.past.records)
    assert page.index("OutcomeAnnounced") < page.rindex("ApplicationSubmitted")
    newest = (await ops.rows("SELECT max(id) AS id FROM event"))[0]["id"]
    assert f'data-stream="/api/v1/events?from=now&amp;after={newest}"' in page


async def test_filters_stand_in_the_address_and_in_the_stream(ops: Ops, story: Story) -> None:
    sign_in(ops)
    asked = {"topic": "review.scores", "type": "Scored", "key": "", "text": "agreed"}
    page = (await ops.client.get("/", params=asked)).text
    assert page.count("<tr") == 1 + 4
    (stream,) = re.findall('data-stream="([^"]+)"', page)
    assert "topic=review.scores&amp;type=Scored&amp;text=agreed" in stream
    assert '<option value="Scored" selected>' in page


@pytest.mark.parametrize(("asked", "named"), [
    ({"from": "banana"}, "from"), ({"from": "2021-13-40"}, "from"), ({"until": "08/02/2021"}, "until"),
    ({"text": "x" * 201}, "text"),
])  # fmt: skip
async def test_what_cannot_be_read_is_marked_in_the_form_that_stays(
    ops: Ops, story: Story, asked: dict[str, str], named: str
) -> None:
    sign_in(ops)
    answer = await ops.client.get("/", params={"topic": "review.scores", **asked}, headers=EN)
    assert answer.status_code == 422
    assert f'href="#field-{named}"' in answer.text
    assert re.search(f'id="field-{named}"[^>]* aria-invalid="true"', answer.text)
    assert f'value="{asked[named]}"' in answer.text
    assert '<option value="review.scores" selected>' in answer.text
    assert "data-stream" not in answer.text


@pytest.mark.parametrize("named", ["topic", "type"])
async def test_a_name_that_nobody_declared_is_marked_and_not_watched_in_silence(ops: Ops, named: str) -> None:
    sign_in(ops)
    answer = await ops.client.get("/", params={named: "Nothing"}, headers=EN)
    assert (answer.status_code, "choose one of the list" in answer.text) == (422, True)
    assert f'href="#field-{named}"' in answer.text
    assert "data-stream" not in answer.text


async def test_a_date_is_enough_and_the_beginning_has_its_word_in_each_language(ops: Ops, story: Story) -> None:
    sign_in(ops)
    times = sorted(record.time.astimezone(UTC) for record in story.past.records)
    first, last = times[0].date().isoformat(), times[-1].date().isoformat()
    for asked in ({"from": first, "until": last}, {"from": "début"}, {"from": "Beginning"}):
        page = await ops.client.get("/", params=asked, headers=FR)
        assert (page.status_code, page.text.count("<tr")) == (200, 1 + len(story.past.records))
    assert 'value="début"' in page.text
    assert "from=beginning" in page.text
    only_the_first = await ops.client.get("/", params={"from": "beginning", "until": first})
    assert only_the_first.text.count("<tr") == 1 + sum(time.date() == times[0].date() for time in times)


async def test_what_is_older_than_the_rows_shown_is_a_link_away(ops: Ops) -> None:
    for number in range(3):
        again = [raw_of(record, offset=1000 * number + at) for at, record in enumerate(whole_story().past.records)]
        await ops.take(again)
    sign_in(ops)
    total = (await ops.rows("SELECT count(*) AS rows FROM event"))[0]["rows"]
    seen: list[str] = []
    address = "/?text=releve"
    while address:
        page = (await ops.client.get(address, headers=EN)).text
        seen += re.findall('data-id="([0-9]+)"', page)
        found = re.search('id="older" rel="next" href="([^"]+)">', page)
        address = found[1].replace("&amp;", "&") if found else ""
    assert len(seen) == len(set(seen)) == total > 100
    assert "Back to the live events" in page
    assert "data-stream" not in page


async def test_what_somebody_wrote_cannot_become_part_of_the_page(ops: Ops, story: Story) -> None:
    evil = '<script>alert(1)</script>"'
    await ops.take([raw_of(story.past.records[0], key=evil.encode(), value=b"{}", offset=50)])
    sign_in(ops)
    page = (await ops.client.get("/", params={"key": evil})).text
    assert "<script>alert" not in page
    assert "default-src 'none'" in (await ops.client.get("/")).headers["content-security-policy"]


async def test_an_application_s_story_is_a_page(ops: Ops, story: Story) -> None:
    sign_in(ops)
    page = (await ops.client.get("/applications/inno-2021-0001", headers=FR)).text
    assert "Ce que le dossier attend" in page
    assert re.search("Pas de réponse de funding depuis [0-9]+ j\u00a0: la libération d’une offre", page)
    assert page.index("ApplicationSubmitted") < page.index("GrantAwarded") < page.index("OutcomeAnnounced")
    assert "Nothing is missing" in (await ops.client.get("/applications/INNO-2021-0003", headers=EN)).text
    unknown = await ops.client.get("/applications/INNO-2021-0099", headers={"Accept": "text/html", **FR})
    assert unknown.status_code == 404
    assert "Événements en direct" in unknown.text


async def test_a_story_names_its_state_in_the_reader_s_language(ops: Ops, story: Story) -> None:
    sign_in(ops)
    for headers, state in ((FR, "non recevable"), (EN, "inadmissible")):
        page = (await ops.client.get(f"/applications/{story.inadmissible}", headers=headers)).text
        assert f'<strong class="tag tag-neutral">{state}</strong>' in page
    template = (TEMPLATES / "story.html").read_text("utf-8")
    assert [state for state in get_args(Status) if f'"{state}": _(' not in template] == []


def test_every_gap_has_its_words_on_the_page() -> None:
    template = (TEMPLATES / "story.html").read_text("utf-8")
    assert [code for code in SENTENCES if f'"{code}"' not in template] == []


def test_every_sentence_is_there_in_french() -> None:
    french = catalogue("fr", (HERE / "translations", TEMPLATES.parent / "translations"))
    environment = pages._environments["fr"]
    said = {
        message
        for path in sorted(TEMPLATES.glob("*.html"))
        for _, _, message in environment.extract_translations(path.read_text("utf-8"))
        if isinstance(message, str)
    }
    assert len(said) > 50
    assert {message for message in said if french.ugettext(message) == message} == {"Pause"}
