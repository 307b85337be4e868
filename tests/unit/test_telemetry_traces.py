"""Traces: one trace from request to letter, a new one where a broken header came."""

import pytest

from shared.telemetry import Cause, follow_trace

GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_the_next_hop_is_in_the_same_trace_with_a_span_of_its_own() -> None:
    followed = follow_trace(GIVEN)
    assert followed[:36] == GIVEN[:36]
    assert followed[36:52] != GIVEN[36:52]
    assert followed.endswith("-01")


@pytest.mark.parametrize("broken", [None, "", "x", GIVEN + "\n", GIVEN.upper(), "00-" + "0" * 32 + GIVEN[35:]])
def test_a_broken_header_begins_a_new_trace(broken: str | None) -> None:
    followed = follow_trace(broken)
    assert len(followed) == len(GIVEN)
    assert followed[3:35] not in (GIVEN[3:35], "0" * 32)


def test_a_cause_has_an_id_of_its_own() -> None:
    first, second = Cause.anew("request", GIVEN), Cause.anew("request", GIVEN)
    assert first.id.startswith("request:")
    assert first.id != second.id
