"""The live page as an operator uses it: events come by themselves, and a pause really pauses."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import ConsoleMessage, Page, Route, async_playwright, expect

from tests.browser.looking import CHROMIUM, PHONE, PICTURES, looked_at
from tests.builders_history import raw_of, whole_story
from tests.builders_ops import Ops, running_ops, served
from tests.databases import Databases

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture
async def ops(databases: Databases) -> AsyncIterator[Ops]:
    async with running_ops(await databases("ops")) as running:
        yield running


@pytest.fixture
async def page(ops: Ops) -> AsyncIterator[Page]:
    """The live page, signed in, in English."""
    async with served(ops.app) as url, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = await browser.new_context(locale="en-GB", base_url=url, viewport={"width": 1280, "height": 900})
        opened = await context.new_page()
        complaints: list[str] = []
        opened.on("console", lambda said: complaints.append(said.text) if is_complaint(said) else None)
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        yield opened
        await browser.close()
    assert complaints == []


def is_complaint(said: ConsoleMessage) -> bool:
    """An error that the browser tells; a page that was refused is none, a file that a page lacks is."""
    refused = "responded with a status of 4" in said.text and "/static/" not in said.location["url"]
    return said.type == "error" and not refused


async def picture(page: Page, name: str) -> None:
    if PICTURES:
        await page.screenshot(path=str(Path(PICTURES) / f"{name}.png"), full_page=True)


async def test_events_come_by_themselves_and_a_pause_keeps_what_is_shown(ops: Ops, page: Page) -> None:
    records = whole_story().past.records
    await ops.take(records[:4])
    await page.goto("/?token=operator")
    await expect(page).to_have_url("/")
    rows, state, pause = page.locator("#rows tr"), page.locator("#state"), page.locator("#pause")
    await expect(rows).to_have_count(4)
    await expect(state).to_have_text("Live")

    await ops.take(records[4:6])
    await expect(rows).to_have_count(6)
    await pause.click()
    await expect(state).to_have_text("Paused")
    await ops.take(records[6:43])
    await expect(pause).to_have_text(f"Resume (+{len(records[6:43])} new)")
    await expect(rows).to_have_count(6)
    await picture(page, "paused-en")

    await pause.click()
    await expect(rows).to_have_count(6 + len(records[6:43]))
    await expect(state).to_have_text("Live")
    await expect(page.locator("#count")).to_have_text(f"{6 + len(records[6:43])} shown")


async def test_until_the_stream_is_open_there_is_nothing_to_pause(ops: Ops, page: Page) -> None:
    answered = asyncio.Event()

    async def held_back(route: Route) -> None:
        await answered.wait()
        await route.continue_()

    await page.route("**/api/v1/events*", held_back)
    await page.goto("/?token=operator")
    await expect(page.locator("#state")).to_have_text("Connecting")
    await expect(page.locator("#pause")).to_be_hidden()
    answered.set()
    await expect(page.locator("#state")).to_have_text("Live")
    await expect(page.locator("#pause")).to_be_visible()


async def test_what_a_full_table_dropped_is_found_among_the_older_ones(ops: Ops, page: Page) -> None:
    for number in range(13):
        await ops.take([raw_of(each, offset=1000 * number + at) for at, each in enumerate(whole_story().past.records)])
    await page.goto("/?token=operator&from=beginning")
    await expect(page.locator("#rows tr")).to_have_count(500)
    last = (await ops.rows("SELECT id FROM event ORDER BY id DESC OFFSET 499 LIMIT 1"))[0]["id"]
    await expect(page.locator("#rows tr").last).to_have_attribute("data-id", str(last))
    await page.get_by_role("link", name="Older events").click()
    assert page.url.endswith(f"before={last}")
    await expect(page.locator("#rows tr")).to_have_count(len(whole_story().past.records) * 13 - 500)
    await page.get_by_role("link", name="Back to the live events").click()
    await expect(page.locator("#state")).to_have_text("Live")


async def test_filters_in_the_address_are_kept_by_the_stream(ops: Ops, page: Page) -> None:
    records = whole_story().past.records
    await page.goto("/?token=operator")
    await page.select_option("#field-type", "Scored")
    await page.get_by_role("button", name="Filter").click()
    await expect(page.locator("#state")).to_have_text("Live")
    await ops.take(records)
    await expect(page.locator("#rows tr")).to_have_count(4)
    assert "type=Scored" in page.url


async def test_a_broken_record_stands_out_and_what_is_in_an_event_can_be_read(ops: Ops, page: Page) -> None:
    story = whole_story()
    await ops.take(story.past.records[:8])
    await page.goto("/?token=operator&from=beginning")
    await expect(page.locator("#rows tr")).to_have_count(8)
    await ops.take([raw_of(story.past.records[2], value=b"\xff<b>", offset=70)])
    await expect(page.locator("#rows tr.broken .tag")).to_have_text("broken")
    row = page.locator("#rows tr:not(.broken)", has_text="ApplicationSubmitted").first
    await row.locator("summary").click()
    await expect(row.locator("pre")).to_contain_text('"reference"')
    await picture(page, "live-en")
    await page.goto("/?lang=fr&from=beginning")
    await expect(page.locator("#state")).to_have_text("En direct")
    await picture(page, "live-fr")


async def test_a_stream_goes_on_where_it_was_when_the_connection_comes_back(ops: Ops, page: Page) -> None:
    records = whole_story().past.records
    await ops.take(records[:3])
    await page.goto("/?token=operator")
    await expect(page.locator("#state")).to_have_text("Live")
    await page.context.set_offline(True)
    await ops.take(records[3:9])
    await page.context.set_offline(False)
    await expect(page.locator("#rows tr")).to_have_count(9)


async def test_the_story_of_an_application_is_a_click_away(ops: Ops, page: Page) -> None:
    story = whole_story()
    await ops.take(story.past.records)
    await page.goto("/?token=operator")
    await page.get_by_role("link", name=story.laureates[0]).first.click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("INNO-2021-0001")
    await picture(page, "story-en")
    await page.goto(f"{page.url}?lang=fr")
    await picture(page, "story-fr")


@pytest.mark.parametrize("language", ["fr", "en"])
async def test_pages_of_operations_are_whole_on_a_phone_and_on_a_desk(ops: Ops, page: Page, language: str) -> None:
    story = whole_story()
    await ops.take(story.past.records)
    await page.goto(f"/?lang={language}")
    await looked_at(page, "ops-sign-in")
    await page.goto("/?token=officer")
    await looked_at(page, "ops-forbidden")
    await page.goto("/?token=operator&from=beginning")
    await expect(page.locator("#rows tr")).to_have_count(len(story.past.records))
    await looked_at(page, "ops-live")
    for name, query in (("ops-wrong", "from=banana"), ("ops-older", "before=60")):
        await page.goto(f"/?{query}")
        await looked_at(page, name)
    for name, application in (("ops-story", story.laureates[0]), ("ops-unknown", "NOBODY-1")):
        await page.goto(f"/applications/{application}")
        await looked_at(page, name)


async def test_a_phone_shows_what_happened_and_where_without_scrolling(ops: Ops, page: Page) -> None:
    story = whole_story()
    await ops.take(story.past.records)
    await page.set_viewport_size(PHONE)
    await page.goto("/?token=operator&from=beginning")
    await page.goto(f"/applications/{story.laureates[0]}")
    row = page.get_by_role("row").filter(has_text="GrantAwarded").first
    for part in ("time", ".name", ".place"):
        box = await row.locator(part).first.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE["width"]


async def test_a_stranger_signs_in_with_a_token(ops: Ops, page: Page) -> None:
    await page.goto("/")
    await picture(page, "sign-in-en")
    await page.fill("#field-token", "operator")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Live events")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Sign in as an operator")
