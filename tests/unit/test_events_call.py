"""What a call file may say: any document at all is a call, or every mistake of it is told by field."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.events.call import Call, mistakes_of
from shared.events.funding import GrantAwarded
from tests.builders_intake import call_document

ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.datetimes(), st.dates(),
    st.sampled_from(["\0", "1", "1e-999999", "0e999999", "9999-12-31T23:59:59-14:00", "0001-01-01", 2**31, 10**400]),
)  # fmt: skip
PLACES = (
    "version", "time_zone", "envelope_eur", "grace_s", "answer_within_days", "grant.min_eur", "grant.max_eur",
    "project.ends_by", "project.starts_within_months", "rounds.0.opens_at", "rounds.0.closes_at",
    "rounds.1.announce_at", "rounds.1.list_ends_at", "rubric.pass_mark", "rubric.max_spread",
    "rubric.criteria.0.weight", "funder.name", "title.fr", "rounds", "rubric", "questions.0.max_length",
)  # fmt: skip


def changed(place: str, value: Any) -> dict[str, Any]:
    document: Any = copy.deepcopy(call_document())
    *above, last = [int(name) if name.isdigit() else name for name in place.split(".")]
    part = document
    for name in above:
        part = part[name]
    part[last] = value
    return dict(document)


@settings(deadline=None)  # a busy machine is no mistake
@given(st.sampled_from(PLACES), ODD)
def test_a_document_without_mistakes_is_a_call(place: str, value: Any) -> None:
    document = changed(place, value)
    if not mistakes_of(document):
        call = Call.model_validate(document)
        assert Call.model_validate_json(call.model_dump_json()) == call
    else:
        with pytest.raises(ValidationError):
            Call.model_validate(document)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("envelope_eur", True), ("version", True), ("version", 2**31), ("rubric.criteria.0.weight", True),
        ("rounds.0.opens_at", "0001-01-01T00:00:00+14:00"), ("rounds.0.opens_at", 1),
        ("rounds.0.opens_at", "1622671200"),
        ("rounds.0.announce_at", "9999-12-31T23:59:59-14:00"), ("rounds.0.announce_at", "9999-12-31T23:59:59Z"),
        ("rounds.0.closes_at", "9999-12-31T23:59:50Z"), ("rounds.0.list_ends_at", "9999-12-31T23:59:59-14:00"),
        ("project.ends_by", 0), ("project.ends_by", "0001-01-01"), ("project.ends_by", "2022-12-31T00:00:00"),
        ("time_zone", "localtime"), ("time_zone", "Factory"), ("time_zone", "posix/Europe/Paris"),
        ("rubric.pass_mark", "1e-999999"), ("rubric.pass_mark", "0e999999"), ("rubric.pass_mark", 66.66667),
        ("funder.name", "a\0b"), ("appeal.en", "a\0b"),
    ],
)  # fmt: skip
def test_what_nobody_could_work_with_is_told_by_its_field(place: str, value: Any) -> None:
    assert place in {each.field for each in mistakes_of(changed(place, value))}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("envelope_eur", 4000000.0), ("rubric.pass_mark", "66.6667"), ("rounds.0.opens_at", "2000-01-01T00:00:00Z"),
        ("project.ends_by", "2999-12-31"), ("time_zone", "America/Cayenne"), ("time_zone", "UTC"),
        ("version", 2**31 - 1),
    ],
)  # fmt: skip
def test_what_is_unusual_and_clear_is_taken(place: str, value: Any) -> None:
    assert mistakes_of(changed(place, value)) == []


def test_numbers_written_as_texts_contradict_each_other_too() -> None:
    assert {each.field for each in mistakes_of(changed("grant.max_eur", "5000000"))} == {"grant.max_eur"}


@pytest.mark.parametrize("extreme", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_an_instant_that_not_every_zone_can_tell_is_no_event_s(extreme: str) -> None:
    awarded = {
        "occurred_at": "2021-09-24T08:00:00Z", "call_id": "c", "call_version": 1, "round_id": "r", "rank": 1,
        "application_id": "01890000-0000-7000-8000-000000000042", "grant_id": "01890000-0000-7000-8000-000000000043",
        "amount_eur": 1, "requested_eur": 1, "answer_by": extreme, "ledger_entry": 2,
    }  # fmt: skip
    with pytest.raises(ValidationError, match="answer_by"):
        GrantAwarded.model_validate(awarded)
