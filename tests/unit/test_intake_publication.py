"""Which changes a new version of a call may bring, before and after a round has opened."""

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from services.intake.domain.publication import refused_changes
from tests.builders_intake import call_document

BEFORE = datetime(2021, 6, 1, tzinfo=UTC)
OPENED = datetime(2021, 6, 14, tzinfo=UTC)
HELD = call_document()


def changed(path: str, value: Any) -> dict[str, Any]:
    document = copy.deepcopy(HELD)
    *parents, last = path.split(".")
    part: Any = document
    for name in parents:
        part = part[int(name)] if isinstance(part, list) else part[name]
    part[last] = value
    return document


ALLOWED = {
    "title.fr": "Un autre titre",
    "themes.0.text.en": "Recruitment",
    "rubric.criteria.0.anchors.3": {"fr": "Passable", "en": "Fair"},
    "appeal.fr": "…",
    "envelope_eur": 3_000_000,
    "rounds.0.closes_at": "2021-08-01T00:00:00+02:00",
    "rounds.1.announce_at": "2021-12-18T10:00:00+01:00",
    "project.ends_by": "2023-06-30",
}
REFUSED = {
    "grant.max_eur": 50_000,
    "rubric.pass_mark": "50",
    "rubric.criteria.0.weight": "30",
    "reference_prefix": "OTHER",
    "grace_s": 600,
    "time_zone": "UTC",
    "shortfall": "skip",
    "themes.0.id": "other",
    "funder.name": "Somebody else",
    "project.starts_within_months": 6,
    "rounds.0.opens_at": "2021-06-20T00:00:00+02:00",
    "rounds.0.closes_at": "2021-07-30T23:59:59+02:00",
    "rounds.1.list_ends_at": "2022-01-01T00:00:00+01:00",
    "project.ends_by": "2022-11-30",
    "tie_break": ["inclusion"],
}


@pytest.mark.parametrize("path", sorted(ALLOWED))
def test_texts_money_and_later_dates_may_change_after_the_opening(path: str) -> None:
    assert refused_changes(HELD, changed(path, ALLOWED[path]), OPENED) == []


@pytest.mark.parametrize("path", sorted(REFUSED))
def test_anything_else_is_refused_by_field_after_the_opening_and_free_before(path: str) -> None:
    wanted = changed(path, REFUSED[path])
    assert [each.field for each in refused_changes(HELD, wanted, OPENED)] == [path]
    assert refused_changes(HELD, wanted, BEFORE) == []


def test_rounds_may_be_added_and_none_removed() -> None:
    third = {
        "id": "innovation-2021-r3", "opens_at": "2022-01-01T00:00:00+01:00", "closes_at": "2022-03-31T23:59:59+02:00",
        "announce_at": "2022-05-10T10:00:00+02:00", "list_ends_at": None,
    }  # fmt: skip
    more = changed("rounds", [*HELD["rounds"], third])
    assert refused_changes(HELD, more, OPENED) == []
    assert [each.field for each in refused_changes(more, HELD, OPENED)] == ["rounds"]


def test_a_choice_added_or_removed_is_a_change_of_the_list() -> None:
    assert [each.field for each in refused_changes(HELD, changed("themes", HELD["themes"][:2]), OPENED)] == ["themes"]


def test_every_refused_change_is_told_at_once() -> None:
    wanted = changed("grace_s", 0) | {"shortfall": "skip"}
    assert {each.field for each in refused_changes(HELD, wanted, OPENED)} == {"grace_s", "shortfall"}


def test_a_date_that_has_passed_stays() -> None:
    after_the_closing = datetime(2021, 8, 2, tzinfo=UTC)
    wanted = changed("rounds.0.closes_at", "2021-08-01T00:00:00+02:00")
    assert [each.field for each in refused_changes(HELD, wanted, after_the_closing)] == ["rounds.0.closes_at"]
