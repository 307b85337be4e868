"""A value of the wrong shape is told in words for people, never in the validator's own terms."""

import re
from typing import Any

import pytest

from shared.events.call import Call, mistakes_of
from shared.events.wording import BY_PATTERN
from tests.builders_intake import call_document

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"version": "one"}, "must be a whole number"),
    ({"version": 1.5}, "must be a whole number"),
    ({"version": 0}, "must be at least 1"),
    ({"answer_within_days": 400}, "must be at most 365"),
    ({"rounds": 3}, "must be a list"),
    ({"rounds": []}, "needs 1 at least"),
    ({"grant": 3}, "must be a part with names and values of its own"),
    ({"second_person": "perhaps"}, "must be true or false"),
    ({"decision": "maybe"}, "must be 'chair' or 'automatic'"),
    ({"reference_prefix": "a b"}, "must be of capital letters, digits and single hyphens, such as INNO-2021"),
    ({"time_zone": 2}, "must be a text"),
    ({"time_zone": "Europe/Lutetia"}, "not a time zone of the IANA database"),
    ({"colour": "red"}, "is not a name that belongs here"),
]


@pytest.mark.parametrize(("changes", "says"), WRONG)
def test_a_wrong_value_of_a_call_is_told_in_words(changes: dict[str, Any], says: str) -> None:
    assert [each.message for each in mistakes_of(call_document(**changes))] == [says]


def test_what_is_no_call_at_all_is_told_in_words() -> None:
    assert [each.message for each in mistakes_of("a call")] == ["must be a part with names and values of its own"]


def test_an_instant_a_date_and_a_number_are_told_by_an_example() -> None:
    document = call_document()
    document["rounds"][0]["closes_at"] = "foo"
    document["project"]["ends_by"] = "soon"
    document["rubric"]["pass_mark"] = "high"
    told = {each.field: each.message for each in mistakes_of(document)}
    assert told == {
        "rounds.0.closes_at": "must be an instant such as 2021-09-30T23:59:00+02:00",
        "project.ends_by": "must be a date such as 2021-09-30",
        "rubric.pass_mark": "must be a number",
    }


def test_every_pattern_of_the_call_file_has_words() -> None:
    patterns = set(re.findall(r"'pattern': '((?:\\\\.|[^'])*)'", str(Call.model_json_schema())))
    forms = {each.replace("\\\\", "\\") for each in patterns if "?!" not in each}  # those of decimal numbers aside
    assert forms <= BY_PATTERN.keys()
    assert forms
