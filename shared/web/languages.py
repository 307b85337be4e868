"""Owns which language a person reads and the sentences in it; it never writes one of its own.

Message ids are the English sentences. The French ones stand in `translations/fr.po`: one shared catalogue here for
the base layout, and one per service folder (`services/<name>/translations/fr.po`) for that service's templates. An
`en.po` beside it is needed only where English itself has two forms (plurals are written in the template). Catalogues
are read when a process starts; nothing is compiled. In templates: `{% trans %}…{% endtrans %}`, `{{ _("…") }}`,
`{{ ngettext("%(num)s file", "%(num)s files", n) }}`.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Literal

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request

from shared.web.formats import add_formats

Language = Literal["fr", "en"]
LANGUAGES: tuple[Language, ...] = ("fr", "en")
NAMES: Mapping[Language, str] = {"fr": "Français", "en": "English"}
DEFAULT: Language = "fr"
PARAMETER = "lang"
COOKIE = "releve_language"
HERE = Path(__file__).resolve().parent


def known(wanted: str | None) -> Language | None:
    """The language that a tag such as `en-GB` names, if Relevé speaks it."""
    primary = (wanted or "").strip().lower().partition("-")[0]
    return next((language for language in LANGUAGES if language == primary), None)


def accepted(header: str) -> Language | None:
    """The language that an Accept-Language header likes best among ours (RFC 9110 §12.5.4)."""
    ranked: list[tuple[float, Language]] = []
    for part in header.split(","):
        tag, _, parameters = part.partition(";")
        language = known(tag)
        quality = _quality(parameters)
        if language is not None and quality > 0:
            ranked.append((quality, language))
    # max keeps the first of equals, which is the order in which the browser names them.
    return max(ranked, key=lambda each: each[0])[1] if ranked else None


def _quality(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    try:
        return float(value) if name.strip() == "q" else 1.0
    except ValueError:
        return 0.0


def language_of(request: Request) -> Language:
    """What a person asked for (`?lang=`), chose before (cookie), or told their browser; French otherwise."""
    return (
        known(request.query_params.get(PARAMETER))
        or known(request.cookies.get(COOKIE))
        or accepted(request.headers.get("accept-language", ""))
        or DEFAULT
    )


@lru_cache(maxsize=64)
def catalogue(language: Language, folders: tuple[Path, ...]) -> Translations:
    """The sentences of one language from `<folder>/<language>.po`; a later folder wins. Missing files are English."""
    merged = Translations()
    for folder in folders:
        path = folder / f"{language}.po"
        if path.is_file():
            with path.open("rb") as source:
                compiled = BytesIO()
                write_mo(compiled, read_po(source, locale=language, abort_invalid=True))
            compiled.seek(0)
            merged.merge(Translations(compiled))
    return merged


def environment(
    language: Language,
    templates: Sequence[Path],
    translations: Sequence[Path],
    *,
    autoescape: bool = True,
) -> Environment:
    """A Jinja environment of one language: its sentences, its numbers and dates; a forgotten value is an error."""
    made = Environment(
        loader=FileSystemLoader(templates),
        extensions=["jinja2.ext.i18n", "jinja2.ext.do"],
        autoescape=autoescape,  # noqa: S701 - off only for plain text, which has nothing to escape
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    sentences = catalogue(language, tuple(translations))
    # The i18n extension adds this method when it is loaded.
    made.install_gettext_callables(sentences.ugettext, sentences.ungettext, newstyle=True)  # type: ignore[attr-defined]
    made.policies["ext.i18n.trimmed"] = True
    made.globals["language"] = language
    add_formats(made, language)
    return made
