"""Pages: the language that a person gets, money and dates as they write them, headers that keep a page safe."""

from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse

from shared.web import formats
from shared.web.languages import accepted
from shared.web.middleware import AnswerFailures
from shared.web.pages import Pages
from shared.web.problems import Problem, install_problems

PAGE = """{% extends "base.html" %}{% import "macros.html" as m with context %}
{% block title %}{{ _("Page not found") }}{% endblock %}
{% block content %}<h1>{{ name }}</h1><p id="m">{{ at|moment }} {{ 35000|euros }} {{ on|day }}</p>
{{ m.error_summary([{"field": "title", "message": "Missing"}]) }}
{{ m.field("title", "Title", error="Missing", hint="One line", required=true) }}
{{ m.timeline([{"title": "One", "at": at, "state": "current", "text": ""}], "Steps") }}
{{ m.table("All", [{"key": "a", "text": "A"}, {"key": "n", "text": "B"}], [{"a": "<b>", "n": 1}]) }}{% endblock %}"""
AT, PARIS = datetime(2021, 9, 30, 21, 59, 59, tzinfo=UTC), ZoneInfo("Europe/Paris")


@pytest.fixture
def client(tmp_path: Path) -> httpx.AsyncClient:
    templates, static = tmp_path / "templates", tmp_path / "static"
    templates.mkdir()
    static.mkdir()
    (templates / "page.html").write_text(PAGE, encoding="utf-8")
    (static / "own.js").write_text("1", encoding="utf-8")
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    pages, app = Pages(templates), FastAPI()
    app.state.pages = pages
    install_problems(app)
    app.add_middleware(AnswerFailures)
    app.include_router(pages.static)

    @app.get("/page")
    async def page(request: Request) -> HTMLResponse:
        return pages.render(
            request, "page.html", name="<script>alert(1)</script>", at=AT, on=date(2021, 12, 1),
            time_zone="Europe/Paris",
        )  # fmt: skip

    @app.post("/form")
    async def form(request: Request) -> HTMLResponse:
        shown = {"name": "", "at": AT, "on": date(2021, 12, 1), "time_zone": "UTC"}
        return pages.render(request, "page.html", address="/page", **shown)

    @app.get("/away")
    @app.get("/api/v1/away")
    async def away() -> None:
        raise Problem(503, "unavailable", "Later.", retry_after=7)

    @app.get("/broken")
    async def broken() -> None:
        raise LookupError("ours")

    @app.get("/missing")
    async def missing(request: Request) -> HTMLResponse:
        return pages.problem(request, 404, "Page not found")

    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://intake.test")


async def test_a_page_is_french_unless_asked_otherwise(client: httpx.AsyncClient) -> None:
    page = await client.get("/page")
    assert '<html lang="fr">' in page.text
    assert "Page introuvable – Relevé" in page.text
    assert "30 septembre 2021 à 23\u00a0h\u00a059 (heure de Paris)" in page.text
    assert "35\u202f000\u00a0€ 1er décembre 2021" in page.text
    assert page.headers["content-language"] == "fr"


async def test_the_browsers_language_counts_then_the_cookie_then_the_address(client: httpx.AsyncClient) -> None:
    english = {"Accept-Language": "de, en-GB;q=0.8, fr;q=0.2"}
    page = await client.get("/page", headers=english)
    assert "30 September 2021 at 23:59 (Paris time)" in page.text
    assert "€35,000 1 December 2021" in page.text
    chosen = await client.get("/page?lang=fr&x=1", headers=english)
    assert '<html lang="fr">' in chosen.text
    assert '<html lang="fr">' in (await client.get("/page", headers=english)).text
    assert "set-cookie" not in (await client.get("/page")).headers
    assert '<html lang="en">' in (await client.get("/page?lang=en")).text
    assert '<html lang="en">' in (await client.get("/page?lang=xx")).text


async def test_the_language_switch_keeps_the_address(client: httpx.AsyncClient) -> None:
    page = await client.get("/page?application=7&lang=fr&q=a%26b")
    assert 'href="?application=7&amp;q=a%26b&amp;lang=en"' in page.text


async def test_the_language_switch_of_an_answered_form_leads_where_it_can_be_read(client: httpx.AsyncClient) -> None:
    answer = await client.post("/form")
    assert 'href="/page?lang=en"' in answer.text
    assert (await client.get("/page?lang=en")).status_code == 200


async def test_what_people_typed_cannot_become_markup(client: httpx.AsyncClient) -> None:
    page = await client.get("/page")
    assert "<script" not in page.text
    assert "<b>" not in page.text
    policy = page.headers["content-security-policy"]
    assert "unsafe-inline" not in policy
    assert "style=" not in page.text
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "same-origin"
    assert "frame-ancestors 'none'" in policy


async def test_a_wrong_field_is_tied_to_its_error_and_hint(client: httpx.AsyncClient) -> None:
    page = (await client.get("/page")).text
    assert 'href="#field-title"' in page
    assert (
        'id="field-title" name="title" aria-describedby="hint-title error-title" aria-invalid="true" required' in page
    )
    assert '<time datetime="2021-09-30T21:59:59+00:00">' in page


async def test_static_files_are_shared_or_the_services_own_and_nothing_else(client: httpx.AsyncClient) -> None:
    page = (await client.get("/page")).text
    address = page.split('rel="stylesheet" href="')[1].split('"')[0]
    sheet = await client.get(address)
    assert sheet.headers["content-type"].startswith("text/css")
    assert "immutable" in sheet.headers["cache-control"]
    assert (await client.get("/static/own.js")).text == "1"
    odd = ("/static/" + "x" * 300, "/static/a%00b")
    for path in ("/static/nothing.css", "/static/../secret.txt", "/static/%2e%2e/secret.txt", "/static/", *odd):
        assert (await client.get(path)).status_code == 404


async def test_a_refusal_is_a_page_too(client: httpx.AsyncClient) -> None:
    page = await client.get("/missing?lang=fr", headers=BROWSER)
    assert page.status_code == 404
    assert "<h1>Page introuvable</h1>" in page.text
    document = await client.get("/missing", headers={"Accept": "*/*"})
    assert (document.status_code, document.json()["code"]) == (404, "not_found")


BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Accept-Language": "fr"}


@pytest.mark.parametrize(("path", "status", "title"), [
    ("/nowhere", 404, "Page introuvable"), ("/away", 503, "Le service est indisponible"),
    ("/form", 405, "Nous ne pouvons pas répondre à cette demande"),
    ("/broken", 500, "Une erreur est survenue chez nous"),
])  # fmt: skip
async def test_a_browser_is_shown_a_page_where_a_program_is_given_a_problem(
    client: httpx.AsyncClient, path: str, status: int, title: str
) -> None:
    page = await client.get(path, headers=BROWSER)
    assert (page.status_code, page.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert f"<h1>{title}</h1>" in page.text
    assert "content-security-policy" in page.headers
    document = await client.get(path, headers={"Accept": "application/json"})
    assert (document.status_code, document.headers["content-type"]) == (status, "application/problem+json")
    assert document.json()["status"] == status


async def test_a_browser_that_calls_the_interface_is_given_the_problem(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/away", headers=BROWSER)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await client.get("/away", headers=BROWSER)).headers["retry-after"] == answer.headers["retry-after"] == "7"


@pytest.mark.parametrize(("header", "language"), [
    ("en", "en"), ("fr-CA,en;q=0.5", "fr"), ("en;q=0.1,fr;q=0.2", "fr"), ("de", None), ("", None), ("en;q=0", None),
    ("en;q=x, fr;q=0.1", "fr"), ("*", None), ("EN-us", "en"),
])  # fmt: skip
def test_accept_language_is_read_as_browsers_write_it(header: str, language: str | None) -> None:
    assert accepted(header) == language


def test_moments_name_their_zone() -> None:
    assert formats.moment(AT, UTC, "en") == "30 September 2021 at 21:59 (UTC)"
    assert formats.moment(AT, ZoneInfo("Indian/Reunion"), "fr").endswith("à 1\u00a0h\u00a059 (heure de La Réunion)")
    assert formats.unzoned(AT, PARIS, "fr") == "30 septembre 2021 à 23\u00a0h\u00a059"
    assert formats.unzoned(AT, PARIS, "en") == "30 September 2021 at 23:59"
    assert formats.local_day(AT, ZoneInfo("Indian/Reunion"), "fr") == "1er octobre 2021"
    assert formats.day(date(2021, 11, 11), "fr") == "11 novembre 2021"
    with pytest.raises(TypeError):
        formats.day(AT, "fr")


def test_numbers_are_written_as_people_write_them() -> None:
    assert formats.euros(1_597_000, "fr") == "1\u202f597\u202f000\u00a0€"
    assert formats.decimal(72.5, "fr") == "72,50"
    assert formats.decimal(1234, "en", 0) == "1,234"
