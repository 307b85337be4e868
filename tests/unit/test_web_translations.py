"""Every sentence that a template may say has its French, and no catalogue keeps one that nothing says."""

import re
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = sorted(
    path for path in (ROOT / "shared" / "web", *(ROOT / "services").iterdir()) if (path / "templates").is_dir()
)
METHODS = [("**.html", "jinja2.ext.babel_extract"), ("**.jinja", "jinja2.ext.babel_extract")]
JINJA = {"trimmed": "true", "silent": "false", "extensions": "jinja2.ext.do"}
OPTIONS = {"**.html": JINJA, "**.jinja": JINJA}
SHARED = ROOT / "shared" / "web"


def french(folder: Path) -> Catalog:
    path = folder / "translations" / "fr.po"
    if not path.is_file():
        return Catalog("fr")
    with path.open("rb") as source:
        return read_po(source, locale="fr", abort_invalid=True)


def said(folder: Path) -> dict[object, str]:
    found = extract_from_dir(folder / "templates", method_map=METHODS, options_map=OPTIONS)
    return {message: f"{name}:{line}" for name, line, message, _, _ in found}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_sentence_of_a_template_has_its_french(folder: Path) -> None:
    catalogues = [french(folder), french(SHARED)]
    missing = {
        message: place
        for message, place in said(folder).items()
        if not any(message in each and each[message].string and all(_strings(each, message)) for each in catalogues)
    }
    assert missing == {}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_translations_keep_the_values_of_their_sentence(folder: Path) -> None:
    wrong = {message.id: [str(error) for error in errors] for message, errors in french(folder).check()}
    assert wrong == {}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_no_line_of_french_breaks_before_its_punctuation(folder: Path) -> None:
    catalogue = french(folder)
    sentences = [each for message in catalogue if message.id for each in _strings(catalogue, message.id)]
    assert [each for each in sentences if re.search(r" [;:!?»]|« ", each)] == []


def _strings(catalogue: Catalog, message: object) -> list[str]:
    found = catalogue[message].string
    return list(found) if isinstance(found, list | tuple) else [found]
