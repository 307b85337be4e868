"""Owns how a letter is written: one text in two forms, HTML by way of MJML and plain; it neither reads nor sends.

Each letter is one template (`templates/<name>.jinja`) written with the parts of `parts.html.jinja` or of
`parts.text.jinja`, so that the two forms cannot say different things. The HTML shell is MJML, compiled once.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from jinja2 import Environment
from jinja2.environment import TemplateModule
from mjml import mjml2html

from services.notify.domain.letters import TEMPLATES as LETTERS
from services.notify.domain.letters import feedback, link_minutes, list_ends_on, why_less
from services.notify.reading import Contact, Facts
from shared.events.call import Call, Round
from shared.web.languages import HERE as SHARED_WEB
from shared.web.languages import LANGUAGES, Language, environment

HERE = Path(__file__).resolve().parent
TEMPLATES = HERE / "templates"
BLANK_LINES = re.compile(r"\n\s*\n\s*\n+")
TRAILING = re.compile(r"[ \t]+$", re.MULTILINE)


@dataclass(frozen=True)
class Letter:
    """A written letter; `subject` is one line."""

    subject: str
    text: str
    html: str


class Letters:
    """The letters in both languages.

    Making one reads the translations and compiles the MJML shell and every template, so that writing a letter later
    costs a millisecond: make it in a thread.
    """

    def __init__(self, public_url: str) -> None:
        self._public_url = public_url.rstrip("/")
        shell = mjml2html((TEMPLATES / "shell.mjml").read_text(encoding="utf-8"), fonts={})
        self._html = {each: _environment(each, "parts.html.jinja") for each in LANGUAGES}
        self._text = {each: _environment(each, "parts.text.jinja") for each in LANGUAGES}
        for made in (*self._html.values(), *self._text.values()):
            for template in LETTERS:
                made.get_template(f"{template}.jinja")
        self._shells = {each: made.from_string(shell) for each, made in self._html.items()}

    def compose(self, facts: Facts, contact: Contact) -> Letter:
        """Write a letter in the person's language. Raises jinja2.UndefinedError when a fact is missing."""
        language, template = contact.language, f"{facts.template}.jinja"
        context = self._context(facts, contact)
        text, text_footer = _written(self._text[language], context, template, "footer.jinja")
        html, html_footer = _written(self._html[language], context, template, "footer.jinja")
        # Templates set these names; a module has no type for them.
        subject, preview = str(vars(text)["subject"]), vars(html)["preview"]
        page = self._shells[language].render(subject=subject, preview=preview, content=html, footer=html_footer)
        return Letter(subject, _tidied(f"{text}\n-- \n{str(text_footer).strip()}"), page)

    def _context(self, facts: Facts, contact: Contact) -> dict[str, Any]:
        context: dict[str, Any] = {**facts.words, "name": contact.name, "caused_at": facts.caused_at, "about": None}
        if facts.about is not None and facts.call is not None:
            context |= _of_application(facts, facts.call, contact.language)
            context["status_url"] = f"{self._public_url}/applications/{facts.about.application_id}"
        return context | EXPLAIN.get(facts.template, _nothing)(facts, contact.language)


def _environment(language: Language, parts: str) -> Environment:
    folders = [SHARED_WEB / "translations", HERE / "translations"]
    made = environment(language, [TEMPLATES], folders, autoescape="html" in parts)
    made.globals["parts"] = parts
    return made


def _written(made: Environment, context: Mapping[str, Any], *templates: str) -> list[TemplateModule]:
    return [made.get_template(template).make_module(dict(context)) for template in templates]


def _of_application(facts: Facts, call: Call, language: Language) -> dict[str, Any]:
    return {
        "about": facts.about,
        "call": call,
        "call_title": call.title.of(language),
        "time_zone": call.time_zone,
        "appeal": call.appeal.of(language),
    }


def _nothing(facts: Facts, language: Language) -> dict[str, Any]:
    return {}


def _receipt(facts: Facts, language: Language) -> dict[str, Any]:
    call = _known(facts.call)
    return {"announce_at": None if call.allocation == "rolling" else _round(call, facts.round_id).announce_at}


def _awarded(facts: Facts, language: Language) -> dict[str, Any]:
    call, award, score = _known(facts.call), _known(facts.outcome), _known(facts.score)
    return {
        "amount_eur": award["amount_eur"],
        "requested_eur": award["requested_eur"],
        "recommended_eur": score["recommended_eur"],
        "why_less": why_less(
            award["requested_eur"], score["recommended_eur"], award["amount_eur"], call.grant.min_eur
        ),
        "answer_by": datetime.fromisoformat(award["answer_by"]),
    }  # fmt: skip


def _waitlisted(facts: Facts, language: Language) -> dict[str, Any]:
    call, outcome = _known(facts.call), _known(facts.outcome)
    rounds = [(each.id, each.announce_at, each.list_ends_at) for each in call.rounds]
    return {
        "rank": outcome["rank"],
        "reason": outcome["reason"],
        "list_ends_on": list_ends_on(facts.round_id or "", rounds, call.project.ends_by, call.zone),
    }


def _not_selected(facts: Facts, language: Language) -> dict[str, Any]:
    call, outcome, score = _known(facts.call), _known(facts.outcome), _known(facts.score)
    criteria = [
        (each.id, each.text.of(language), {mark: text.of(language) for mark, text in each.anchors.items()})
        for each in call.rubric.criteria
    ]
    means = {name: Decimal(mean) for name, mean in score["criteria"].items()}
    marks, not_applicable = feedback(criteria, means)
    return {
        "reason": outcome["reason"],
        "score": Decimal(score["score"]),
        "pass_mark": call.rubric.pass_mark,
        "marks": marks,
        "not_applicable": not_applicable,
    }


def _inadmissible(facts: Facts, language: Language) -> dict[str, Any]:
    call, outcome = _known(facts.call), _known(facts.outcome)
    texts = {check.id: check.text.of(language) for check in call.admissibility}
    # A check that a later version of the call renamed is still told, by its id.
    return {
        "failed": [texts.get(name, name) for name, passed in outcome["checks"].items() if not passed],
        "reason": outcome["reason"],
    }


def _sign_in(facts: Facts, language: Language) -> dict[str, Any]:
    return {"minutes": link_minutes(facts.caused_at, datetime.fromisoformat(facts.words["expires_at"]))}


EXPLAIN: Mapping[str, Callable[[Facts, Language], dict[str, Any]]] = {
    "receipt": _receipt,
    "awarded": _awarded,
    "waitlisted": _waitlisted,
    "not_selected": _not_selected,
    "inadmissible": _inadmissible,
    "sign_in": _sign_in,
}


def _known(value: Any) -> Any:
    if value is None:
        raise LookupError("a letter was composed before its facts were there")
    return value


def _round(call: Call, round_id: str | None) -> Round:
    return call.round(_known(round_id))


def _tidied(text: str) -> str:
    return BLANK_LINES.sub("\n\n", TRAILING.sub("", text)).replace("\n--\n", "\n-- \n").strip() + "\n"
