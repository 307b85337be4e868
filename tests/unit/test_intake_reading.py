"""Reading a submission: any JSON at all is either taken or told by field, never a failure of ours."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.intake.access import Access
from services.intake.reading import BodyMalformed, Deposit, address_in, read_json, read_submission, rules_of, siret_of
from tests.builders_history import CALL
from tests.builders_intake import SUBMISSION, submission

ACCESS = Access(b"k" * 32)
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(min_value=10**30), st.floats(allow_nan=False), st.text(),
    st.sampled_from(["\0", "2021-12-01T00:00:00Z", "1609459200", "２０２１", "٧" * 14, "a@b", "\u2028"]),
)  # fmt: skip
JSON = st.recursive(ODD, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))


def paths(node: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(node, dict):
        return [path]
    return [path, *(each for name, value in node.items() for each in paths(value, (*path, name)))]


def replaced(document: Any, path: tuple[str, ...], value: Any) -> Any:
    if not path:
        return value
    changed = copy.deepcopy(document)
    part = changed
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    return changed


def read(document: Any) -> Any:
    body = json.dumps(document).encode()
    return read_submission(body, read_json(body), rules_of(CALL), reserved_domains=False)


@settings(deadline=None)  # a busy machine is no mistake
@given(st.sampled_from(paths(SUBMISSION)), JSON)
def test_any_value_at_any_place_is_taken_or_told(path: tuple[str, ...], value: Any) -> None:
    try:
        body = json.dumps(replaced(SUBMISSION, path, value)).encode()
        document = read_json(body)
    except BodyMalformed:
        return  # infinity is not JSON
    result = read_submission(body, document, rules_of(CALL), reserved_domains=False)
    address_in(document)
    ACCESS.of_body(document)
    if isinstance(result, Deposit):
        stored = result.organisation.model_dump_json() + result.project.model_dump_json()
        assert "\\u0000" not in stored
    else:
        assert result
        assert all(each.code and each.message for each in result)


def test_what_is_read_is_what_was_said_without_blanks_around_it() -> None:
    deposit = read(submission(project__title="  Lovelace ", project__themes=["pedagogy", "pedagogy"]))
    assert isinstance(deposit, Deposit)
    assert (deposit.project.title, deposit.project.themes) == ("Lovelace", ("pedagogy",))


@pytest.mark.parametrize("text", ["000 001 016 00013", "00000101600013", "000.001.016.00013"])
def test_a_siret_is_its_digits(text: str) -> None:
    assert siret_of(text) == "00000101600013"


@pytest.mark.parametrize("text", ["", "00000101600014", "0000010160001", "٠٠٠٠٠١٠١٦٠٠٠١٣", "0000010160001x"])
def test_what_is_no_siret_is_none(text: str) -> None:
    assert siret_of(text) is None


def test_every_application_of_the_data_folders_keeps_the_rules_of_its_call() -> None:
    from cli.replay.story import Story, read_files
    from tests.builders_history import DATA

    for folder in ("innovation-2021", "short-money"):
        story = Story.of(read_files(DATA / folder))
        for dossier in story.dossiers:
            body = json.dumps(dossier.body).encode()
            taken = read_submission(body, read_json(body), rules_of(story.call), reserved_domains=False)
            assert isinstance(taken, Deposit), (folder, dossier.dossier, taken)


def test_a_token_opens_its_application_at_its_version_only() -> None:
    token = ACCESS.token("a", 1)
    assert ACCESS.version_of("a", token) == 1
    assert ACCESS.version_of("b", token) is None
    assert ACCESS.version_of("a", token.replace("1.", "2.", 1)) is None
    assert Access(b"l" * 32).version_of("a", token) is None
    for broken in ("", ".", "1.", "1", "²." + token[2:], "01" + token[1:], token + "=", "9" * 40):
        assert ACCESS.version_of("a", broken) is None


def test_equal_bodies_are_equal_however_they_are_written() -> None:
    assert ACCESS.of_body({"a": 1, "b": [1.5, "é"]}) == ACCESS.of_body({"b": [1.5, "é"], "a": 1})
    assert ACCESS.of_body({"a": 1}) != ACCESS.of_body({"a": "1"})
    assert ACCESS.of_address("x") != ACCESS.of_body("x")
