"""The documents of a decision are hashed as RFC 8785 says, by a quicker writer than a general one."""

import hashlib
from typing import Any

import pytest
import rfc8785
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from services.funding.store.proposals import PIECE, canonical

NAMES = some.text(alphabet=some.characters(max_codepoint=0x7F), max_size=8)
SCALARS = some.none() | some.booleans() | some.integers(-(2**53) + 1, 2**53 - 1) | some.text(max_size=20)
VALUES = some.recursive(
    SCALARS, lambda each: some.lists(each, max_size=4) | some.dictionaries(NAMES, each, max_size=4), max_leaves=12
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(some.dictionaries(NAMES, VALUES, max_size=5))
def test_it_writes_what_a_general_implementation_writes(document: dict[str, Any]) -> None:
    written = canonical(document)
    assert written.text.encode() == rfc8785.dumps(document)
    assert written.sha256 == hashlib.sha256(rfc8785.dumps(document)).hexdigest()


@pytest.mark.parametrize("count", [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE])
def test_what_comes_one_by_one_is_written_as_an_array(count: int) -> None:
    items = [{"rank": number, "application_id": f"é{number}"} for number in range(count)]
    assert canonical({"z": 1, "lines": iter(items), "a": "\x7f"}) == canonical({"z": 1, "lines": items, "a": "\x7f"})


def test_no_number_is_written_that_has_no_json() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical({"a": float("nan")})
