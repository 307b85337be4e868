"""Intake's pages as people use them: on a phone and a desk, in both languages, with and without a script."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from shared.events import funding, review
from shared.events.intake import ApplicationSubmitted, SignInRequested
from shared.service import make_app
from tests.browser.looking import CHROMIUM, PHONE, looked_at
from tests.builders_intake import ANNOUNCED, ANSWER_BY, CALL, CLOSES, SUBMISSION, Applicant, IntakeBench, life
from tests.builders_ops import served
from tests.databases import Databases

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture
async def intake(databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> IntakeBench:
    bench = await IntakeBench.start(databases, tmp_path, monkeypatch)
    await bench.opened()
    return bench


@pytest.fixture
async def address(intake: IntakeBench) -> AsyncIterator[str]:
    async with served(make_app(intake.runtime)) as url:
        yield url


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        await opened.close()


async def opened(browser: Browser, address: str, language: str = "fr", **options: Any) -> Page:
    """A tab of a new person."""
    locale = {"fr": "fr-FR", "en": "en-GB"}[language]
    context = await browser.new_context(locale=locale, base_url=address, **{"viewport": PHONE, **options})
    return await context.new_page()


def door(applicant: Applicant) -> str:
    """The address that the receipt gives."""
    return f"/applications/{applicant.id}?token={applicant.receipt['access_token']}"


async def every_state(intake: IntakeBench) -> dict[str, Applicant]:
    """Applications in the states that an applicant meets, the round announced."""
    names = ("withdrawn", "not_selected", "waitlisted", "inadmissible", "declined", "accepted", "awarded", "completed")
    held = {name: await intake.deposited(project__title=f"Projet {name}") for name in names}
    await held["withdrawn"].does("withdraw")
    intake.at(CLOSES + timedelta(hours=1))
    await intake.close_due()
    for name in ("declined", "accepted", "awarded"):
        await intake.learn(*life(held[name].id)[:5])
    await intake.learn(*life(held["completed"].id))
    decided, refused = CLOSES + timedelta(days=40), held["inadmissible"]
    await intake.learn(
        held["not_selected"].about(funding.ApplicationNotSelected, decided, reason="below_pass_mark", sealed=True),
        held["not_selected"].about(funding.OutcomeAnnounced, ANNOUNCED, outcome="not_selected"),
        held["waitlisted"].about(funding.ApplicationWaitlisted, decided, rank=3, reason="envelope_short", sealed=True),
        held["waitlisted"].about(funding.OutcomeAnnounced, ANNOUNCED, outcome="waitlisted"),
        refused.about(review.ApplicationInadmissible, decided, checks={"theme": False}, reason="Hors thème."),
        refused.about(funding.OutcomeAnnounced, ANNOUNCED, outcome="inadmissible"),
    )
    intake.at(ANNOUNCED + timedelta(days=1))
    assert (await held["declined"].does("decline")).status_code == 202
    assert (await held["accepted"].does("accept")).status_code == 202
    return held


@pytest.mark.parametrize("language", ["fr", "en"])
async def test_public_pages_are_whole_on_a_phone_and_on_a_desk(
    intake: IntakeBench, address: str, browser: Browser, language: str
) -> None:
    page = await opened(browser, address, language)
    for name, path in {
        "calls": "/", "call": f"/calls/{CALL}", "no-laureates": f"/calls/{CALL}/laureates", "sign-in": "/sign-in",
        "sign-in-gone": "/sign-in?link=x", "unknown-call": "/calls/nowhere", "unknown-page": "/nowhere",
    }.items():  # fmt: skip
        await page.goto(path)
        await looked_at(page, name)


@pytest.mark.parametrize("language", ["fr", "en"])
async def test_an_application_s_page_is_whole_in_every_state(
    intake: IntakeBench, address: str, browser: Browser, language: str
) -> None:
    submitted = await intake.deposited(project__title="Lovelace, une plateforme pour apprendre à programmer ensemble")
    page = await opened(browser, address, language)
    await page.goto(door(submitted))
    await looked_at(page, "submitted")
    states = await every_state(intake)
    await page.goto(door(submitted))
    await looked_at(page, "in-review")
    for name, applicant in states.items():
        await page.goto(door(applicant))
        await looked_at(page, name)
    intake.at(ANSWER_BY + timedelta(days=2))
    await page.goto(door(states["awarded"]))
    await looked_at(page, "unanswered")
    stranger = await opened(browser, address, language)
    await stranger.goto(f"/applications/{submitted.id}")
    await looked_at(stranger, "closed-door")
    await page.goto(f"/calls/{CALL}/laureates")
    await looked_at(page, "laureates")


async def test_a_phone_shows_who_won_what_and_how_much_without_scrolling(
    intake: IntakeBench, address: str, browser: Browser
) -> None:
    await every_state(intake)
    page = await opened(browser, address)
    await page.goto(f"/calls/{CALL}/laureates")
    row = page.get_by_role("row", name="Projet accepted")
    for told in ("Projet accepted", "Ada Tech School", "30\u202f000\u00a0€"):
        box = await row.get_by_text(told).bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE["width"]
    await expect(page.get_by_role("table", name="Lauréats").get_by_role("columnheader")).to_have_count(5)


async def test_a_header_leaves_the_phone_to_the_page(intake: IntakeBench, address: str, browser: Browser) -> None:
    page = await opened(browser, address)
    await page.goto("/")
    box = await page.locator("header").bounding_box()
    assert box is not None
    assert box["height"] <= 100


async def test_the_page_carries_the_digest_of_what_was_deposited(
    intake: IntakeBench, address: str, browser: Browser
) -> None:
    applicant = await intake.deposited()
    page = await opened(browser, address, "en")
    await page.goto(door(applicant))
    told = page.locator("dt", has_text="Digest of the deposit").locator("xpath=following-sibling::dd")
    await expect(told).to_have_text((await applicant.sees())["deposited_sha256"])
    assert len(await intake.said(ApplicationSubmitted)) == 1


async def test_an_applicant_withdraws_by_keyboard_and_without_a_script(
    intake: IntakeBench, address: str, browser: Browser
) -> None:
    applicant = await intake.deposited()
    page = await opened(browser, address, java_script_enabled=False)
    await page.goto(door(applicant))
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Aller au contenu")).to_be_focused()
    await page.locator("summary").focus()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await page.keyboard.type("  ")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_be_focused()
    await expect(page).to_have_title("Erreur\u00a0: Dossier INNO-2021-0001 – Relevé")
    await page.get_by_role("link", name="English").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Lovelace")
    await page.locator("summary").click()
    await page.get_by_label("Why do you withdraw?").fill("No more means.")
    await page.get_by_role("button", name="Withdraw for good").click()
    await expect(page.locator("strong.tag")).to_have_text("Application withdrawn")


async def test_a_used_link_says_so_in_either_language(intake: IntakeBench, address: str, browser: Browser) -> None:
    page = await opened(browser, address)
    await page.goto("/sign-in?link=nobody-s")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Ce lien ne fonctionne plus")
    await intake.deposited()
    await page.get_by_label("Votre adresse électronique").fill(SUBMISSION["contact"]["email"])
    await page.get_by_role("button", name="Recevoir un lien").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Consultez votre messagerie")
    [said] = await intake.said(SignInRequested)
    link = f"/sign-in?{urlsplit(said.link).query}"
    await page.goto(link)
    await looked_at(page, "sign-in-link")
    await page.get_by_role("button", name="Ouvrir mes dossiers").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Mes dossiers")
    await page.goto(link)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Ce lien a déjà servi")
    await looked_at(page, "sign-in-used")
    await page.get_by_role("link", name="English").click()
    await expect(page.get_by_label("Your e-mail address")).to_be_visible()
    await page.get_by_label("Your e-mail address").fill("nobody@example.org")
    await page.get_by_role("button", name="Send me a link").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Look into your mailbox")
    await looked_at(page, "sign-in-sent")
