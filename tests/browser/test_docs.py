"""The page that describes an interface: it shows it with no network beyond the service, and under its own policy."""

from urllib.parse import urlsplit

import pytest
from playwright.async_api import async_playwright, expect

from tests.browser.looking import CHROMIUM, DESK, PICTURES
from tests.builders_ops import served
from tests.component.test_openapi import SERVICES, app_of

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.mark.parametrize("name", SERVICES)
async def test_the_interface_is_shown_from_the_service_alone(name: str) -> None:
    async with served(app_of(name)) as url, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page(viewport=DESK)
        complaints: list[str] = []
        asked: set[str] = set()
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
        await page.goto(f"{url}/docs")
        operations = page.locator(".opblock", has_text="/api/v1/")
        await expect(operations.first).to_be_visible()
        await operations.first.locator(".opblock-control-arrow").click()
        await expect(page.get_by_text("unavailable").first).to_be_visible()
        if PICTURES:
            await page.screenshot(path=f"{PICTURES}/docs-{name}.png", full_page=True)
        await browser.close()
    assert complaints == []
    assert asked - {""} == {urlsplit(url).netloc}
