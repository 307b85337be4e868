"""Owns dossiers of about three kilobytes, as applicants send them; it imports nothing of the product."""

from __future__ import annotations

from typing import Any

BODY_BYTES = 3000

# Any nine digits and their Luhn digit, any four digits and theirs: no register is asked.
SIRET = "00000101600013"
SENTENCE = "Le projet accompagne des personnes éloignées de l'emploi vers les métiers du numérique, à leur rythme. "


def dossier(number: int) -> dict[str, Any]:
    """A submission that keeps the call's rules, of a person of its own, `BODY_BYTES` long as JSON."""
    body: dict[str, Any] = {
        "organisation": {
            "name": f"École du numérique {number}", "siret": SIRET, "kind": "training_organisation",
            "region": "Normandie",
        },
        "contact": {"name": "Camille Durand", "email": f"camille.{number}@ecole.example.org", "language": "fr"},
        "project": {
            "title": f"Apprendre ensemble {number}", "summary": "", "themes": ["pedagogy", "insertion"],
            "publics": ["women", "job_seekers"], "requested_eur": 20000 + number % 20000, "starts_on": "2026-12-01",
            "ends_on": "2027-11-30",
            "answers": {"means": SENTENCE * 5, "taken_up": SENTENCE * 5},
        },
        "declarations": {"not_in_labelled_use": True},
    }  # fmt: skip
    body["project"]["summary"] = (SENTENCE * 20)[: BODY_BYTES - 700 - 10 * len(SENTENCE)].strip()
    return body
