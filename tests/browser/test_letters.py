"""Every letter as a mail program shows it, at the widths of a phone and of a desk; and its text as a terminal does."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright

from services.notify.composing import Letters
from services.notify.domain.letters import TEMPLATES
from services.notify.samples import sample_contact, sample_facts
from shared.web.languages import LANGUAGES, Language
from tests.browser.looking import CHROMIUM, PICTURES

WIDTHS = (400, 760)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

BROKEN_WORDS = """() => [...document.querySelectorAll("th")].filter((each) => {
  const lines = Math.round(each.getBoundingClientRect().height / parseFloat(getComputedStyle(each).lineHeight));
  return !each.textContent.trim().includes(" ") && lines > 2;
}).map((each) => each.textContent)"""


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield await browser.new_page(java_script_enabled=True)
        await browser.close()


@pytest.fixture(scope="module")
def letters() -> Letters:
    return Letters("https://releve.example")


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_letter_is_whole_on_a_phone_and_on_a_desk(page: Page, letters: Letters, language: Language) -> None:
    for template in TEMPLATES:
        letter = letters.compose(sample_facts(template), sample_contact(language))
        await page.set_content(letter.html)
        assert await page.evaluate("document.documentElement.lang") == language
        assert await page.locator("h1").count() == 1
        for width in WIDTHS:
            await page.set_viewport_size({"width": width, "height": 600})
            if PICTURES:
                picture = Path(PICTURES) / f"letter-{template}-{language}-{width}.png"
                await page.screenshot(path=str(picture), full_page=True)
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, template
            assert await page.evaluate(BROKEN_WORDS) == [], template


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_letter_s_text_is_wrapped_and_quoted_as_mail_is(letters: Letters, language: Language) -> None:
    for template in TEMPLATES:
        text = letters.compose(sample_facts(template), sample_contact(language)).text
        addresses = ("https://", "(SHA-256)")
        long = [line for line in text.splitlines() if len(line) > 72 and not any(each in line for each in addresses)]
        assert long == [], template
    refusal = letters.compose(sample_facts("inadmissible"), sample_contact("fr")).text.splitlines()
    first = next(number for number, line in enumerate(refusal) if line.startswith("> "))
    assert refusal[first + 1].startswith("> ")


def test_one_criterion_that_did_not_apply_is_told_as_one(letters: Letters) -> None:
    assert "Ce critère était sans objet" in letters.compose(sample_facts("not_selected"), sample_contact("fr")).text
