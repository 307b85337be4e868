"""Owns the invented values by which a letter can be looked at before any is sent; no person or project is in them."""

from datetime import UTC, datetime
from typing import Any

from services.notify.reading import About, Contact, Facts
from shared.events.call import Call
from shared.web.languages import Language

ROUND = "sample-2030-r1"
APPLICATION = "01890000-0000-7000-8000-000000000042"


def sample_contact(language: Language) -> Contact:
    """To whom a sample is written."""
    return Contact("Camille Exemple", "camille@exemple.example", language)


def sample_facts(template: str) -> Facts:
    """What a sample of a letter is written from."""
    return Facts(
        template,
        datetime(2030, 4, 2, 9, 30, tzinfo=UTC),
        WORDS.get(template, {}),
        ABOUT if template != "sign_in" else None,
        CALL if template != "sign_in" else None,
        ROUND,
        OUTCOMES.get(template),
        SCORE,
    )


ABOUT = About(
    application_id=APPLICATION,
    reference="EXEMPLE-2030-0042",
    title="Un projet d’exemple",
    organisation="Association Exemple",
    requested_eur=35000,
    submitted_at=datetime(2030, 1, 31, 22, 47, tzinfo=UTC),
    deposited_sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
)
WORDS: dict[str, dict[str, Any]] = {
    "withdrawn": {"reason": "Le partenaire s’est retiré."},
    "declined": {"amount_eur": 30000},
    "lapsed": {"amount_eur": 30000},
    "revoked": {"amount_eur": 30000},
    "sign_in": {"link": "https://releve.example/s/exemple", "expires_at": "2030-04-02T09:45:00+00:00"},
}
OUTCOMES: dict[str, dict[str, Any]] = {
    "awarded": {
        "amount_eur": 30000, "requested_eur": 35000, "rank": 3, "answer_by": "2030-05-02T21:59:59.999999+00:00",
    },
    "waitlisted": {"rank": 48, "reason": "envelope_short"},
    "not_selected": {"rank": None, "reason": "below_pass_mark"},
    "inadmissible": {
        "checks": {"theme": True, "amount": False},
        "reason": "La subvention demandée, 45 000 €, dépasse le plafond de l’appel.",
    },
}  # fmt: skip
SCORE: dict[str, Any] = {
    "score": "54.20",
    "criteria": {"relevance": "3.50", "employment": "2.00"},
    "recommended_eur": 30000,
}
CALL = Call.model_validate(
    {
        "id": "sample-2030", "version": 1, "reference_prefix": "EXEMPLE-2030", "time_zone": "Europe/Paris",
        "title": {"fr": "Appel à projets d’exemple 2030", "en": "Sample call for projects 2030"},
        "grace_s": 0,
        "funder": {"name": "Fonds Exemple", "siret": "00000000000000"},
        "envelope_eur": 1000000,
        "grant": {"min_eur": 10000, "max_eur": 40000},
        "kinds": [{"id": "association", "text": {"fr": "Association", "en": "Association"}}],
        "themes": [{"id": "inclusion", "text": {"fr": "Inclusion", "en": "Inclusion"}}],
        "project": {"starts_within_months": 3, "ends_by": "2031-12-31"},
        "rounds": [
            {"id": ROUND, "opens_at": "2030-01-01T00:00:00+01:00", "closes_at": "2030-01-31T23:59:59+01:00",
             "announce_at": "2030-04-02T10:00:00+02:00"},
            {"id": "sample-2030-r2", "opens_at": "2030-02-01T00:00:00+01:00",
             "closes_at": "2030-04-30T23:59:59+02:00", "announce_at": "2030-07-01T10:00:00+02:00"},
        ],
        "admissibility": [
            {"id": "theme", "text": {"fr": "Le projet répond à un thème.", "en": "The project answers a theme."}},
            {"id": "amount", "text": {"fr": "La subvention demandée est comprise entre 10 000 € et 40 000 €.",
                                      "en": "The grant asked for lies between €10,000 and €40,000."}},
        ],
        "rubric": {
            "criteria": [
                {"id": "relevance", "weight": "60", "text": {"fr": "Pertinence du projet", "en": "Relevance"},
                 "anchors": {4: {"fr": "Bon", "en": "Good"}}},
                {"id": "employment", "weight": "20", "text": {"fr": "Intérêt pour l’emploi",
                 "en": "Interest for employment"}, "anchors": {2: {"fr": "Insuffisant", "en": "Weak"}}},
                {"id": "partners", "weight": "20", "text": {"fr": "Solidité du partenariat",
                 "en": "Strength of the partnership"}, "anchors": {}},
            ],
            "reviewers_per_application": 2, "max_spread": "15", "pass_mark": "60",
        },
        "decision": "chair", "allocation": "ranked", "shortfall": "stop",
        "answer_within_days": 30, "convention_within_days": 90, "applications_per_organisation": 1,
        "appeal": {"fr": "Vous pouvez demander un réexamen au Fonds Exemple dans les deux mois.",
                   "en": "You may ask the Fonds Exemple to look at the decision again within two months."},
    }
)  # fmt: skip
