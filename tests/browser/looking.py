"""How the tests look at a page: at the widths of a phone and of a desk, for faults that no page may have."""

import os
import shutil
from pathlib import Path

from playwright.async_api import Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PICTURES = os.environ.get("RELEVE_TEST_PICTURES")
"""A folder for pictures of the pages, for people to look at."""
PHONE, DESK = {"width": 400, "height": 800}, {"width": 1200, "height": 900}

# What a person who cannot see, or cannot hold a pointer still, needs of every page (WCAG 2.2: 1.3.1, 2.5.8, 3.1.1).
FAULTS = """() => {
  const faults = [];
  if (document.documentElement.scrollWidth > innerWidth) faults.push("the page scrolls sideways");
  if (document.querySelectorAll("h1").length !== 1) faults.push("not one heading of level one");
  if (!document.documentElement.lang || !document.title) faults.push("no language or no title");
  const ids = [...document.querySelectorAll("[id]")].map((each) => each.id);
  if (new Set(ids).size !== ids.length) faults.push("an id stands twice");
  for (const each of document.querySelectorAll("input, select, textarea")) {
    if (!each.labels.length) faults.push(`no label: ${each.name}`);
  }
  for (const each of document.querySelectorAll("nav a, button, summary, input, select, textarea")) {
    const box = each.getBoundingClientRect();
    if (each.checkVisibility() && Math.min(box.width, box.height) < 24) faults.push(`small: ${each.textContent}`);
  }
  let level = 0;
  for (const each of document.querySelectorAll("h1, h2, h3, h4")) {
    if (Number(each.tagName[1]) > level + 1) faults.push(`a level is left out before: ${each.textContent}`);
    level = Number(each.tagName[1]);
  }
  return faults;
}"""


async def looked_at(page: Page, name: str) -> None:
    """The page has no fault at either width; a picture of each is kept if somebody wants them."""
    language = await page.evaluate("document.documentElement.lang")
    for size in (PHONE, DESK):
        await page.set_viewport_size(size)
        if PICTURES:
            await page.screenshot(path=str(Path(PICTURES) / f"{name}-{language}-{size['width']}.png"), full_page=True)
        assert await page.evaluate(FAULTS) == [], f"{name} in {language} at {size['width']}"
    await page.set_viewport_size(PHONE)
