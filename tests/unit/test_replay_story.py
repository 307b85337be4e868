"""What a data folder tells, and how `--set` changes it."""

import copy
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cli.replay.mistakes import FolderBroken
from cli.replay.overrides import OverrideImpossible, override
from cli.replay.story import Story, read_files

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture(scope="module")
def files() -> dict[str, Any]:
    return read_files(DATA / "innovation-2021")


@pytest.fixture(scope="module")
def story(files: dict[str, Any]) -> Story:
    return Story.of(files)


def test_both_folders_of_the_project_can_be_replayed(story: Story) -> None:
    short = Story.of(read_files(DATA / "short-money"))
    assert (len(story.dossiers), len(short.dossiers)) == (89, 12)
    assert story.ends_at < short.starts_at, "so that both can be replayed one after the other"


def test_every_application_belongs_to_a_round(story: Story) -> None:
    counts = [len(story.members(each.id)) for each in story.call.rounds]
    assert counts == [38, 51]


def test_an_act_comes_with_the_same_key_at_every_replay_and_no_other_act_has_it(story: Story) -> None:
    assert story.key("d01", "submit") == story.key("d01", "submit")
    assert len({story.key(d, a) for d in ("d01", "d02") for a in ("submit", "withdraw")}) == 4


def test_a_submission_is_sent_as_plain_json(story: Story) -> None:
    body = story.dossiers[0].body
    assert body["project"]["starts_on"] == "2021-12-01"
    assert set(body) == {"organisation", "contact", "project", "declarations"}


def test_a_value_of_the_call_is_set_by_its_path(files: dict[str, Any]) -> None:
    settings = [
        "rubric.pass_mark=63",
        "envelope_eur=1000000",
        "rounds.innovation-2021-r2.announce_at=2021-11-19T10:00:00Z",
    ]
    changed = Story.of(override(files, settings)).call
    assert (changed.rubric.pass_mark, changed.envelope_eur) == (Decimal(63), 1_000_000)
    assert changed.rounds[1].announce_at.day == 19
    assert files["call"]["rubric"]["pass_mark"] == 60, "the files stay as they were read"


def test_every_value_that_the_call_cannot_have_is_told_by_its_place(files: dict[str, Any]) -> None:
    with pytest.raises(FolderBroken) as one:
        Story.of(override(files, ["envelope_eur=abc"]))
    assert str(one.value).startswith("call.yaml: envelope_eur: must be a whole number")
    assert str(one.value).endswith("not 'abc'")
    with pytest.raises(FolderBroken) as two:
        Story.of(override(files, ["envelope_eur=abc", "grace_s=soon"]))
    assert [line.split(": ")[1] for line in str(two.value).splitlines()] == ["grace_s", "envelope_eur"]


def test_more_mistakes_than_a_reader_takes_in_are_counted(files: dict[str, Any]) -> None:
    broken = copy.deepcopy(files)
    for each in broken["applications"]["applications"]:
        each["submitted_at"] = "soon"
    with pytest.raises(FolderBroken, match=r"and \d+ more mistakes$"):
        Story.of(broken)


def test_an_item_of_a_list_is_named_by_its_id_or_its_place(files: dict[str, Any]) -> None:
    by_id = override(files, ["rubric.criteria.inclusion.weight=50"])
    by_place = override(files, ["rubric.criteria.3.weight=50"])
    assert by_id["call"] == by_place["call"]


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("pass_mark=63", "no 'pass_mark' there, only id, version"),
        ("rubric.criteria.beauty.weight=1", "only relevance, innovation"),
        ("rounds.9.closes_at=x", r"only innovation-2021-r1, innovation-2021-r2 \(or its place, 0 to 1\)"),
        ("envelope_eur", "key=value"),
        ("envelope_eur.cents=3", "only a value"),
        ("envelope_eur=[1", "not a value"),
        ("marks.swap=d40", "name two applications"),
        ("marks.swap=d40,d01", "name two applications"),
    ],
)
def test_a_setting_that_names_nothing_is_refused_with_what_there_is(
    files: dict[str, Any], setting: str, says: str
) -> None:
    with pytest.raises(OverrideImpossible, match=says):
        override(files, [setting])


def test_exchanged_marks_take_what_reviewers_declare_with_them(files: dict[str, Any]) -> None:
    changed = override(files, ["marks.swap=d12,d40"])
    marks, before = changed["marks"]["evaluations"], files["marks"]["evaluations"]
    assert (marks["d12"], marks["d40"]) == (before["d40"], before["d12"])
    assert changed["instruction"]["conflicts"]["d40"] == files["instruction"]["conflicts"]["d12"]
    assert "d12" not in changed["instruction"]["conflicts"]


def test_a_renamed_call_takes_its_rounds_acts_and_references_with_it(files: dict[str, Any]) -> None:
    renamed = Story.of(override(files, ["id=higher-bar"]))
    assert [each.id for each in renamed.call.rounds] == ["higher-bar-r1", "higher-bar-r2"]
    assert {act.round for act in renamed.acts if act.round} == {"higher-bar-r1", "higher-bar-r2"}
    assert renamed.call.reference_prefix == "HIGHER-BAR"
    assert renamed.key("d01", "submit") != Story.of(files).key("d01", "submit")


def test_a_value_that_the_call_file_does_not_allow_is_refused_with_its_place(files: dict[str, Any]) -> None:
    with pytest.raises(FolderBroken, match=r"call\.yaml: rubric\.pass_mark: must be at most 100, not 101"):
        Story.of(override(files, ["rubric.pass_mark=101"]))


def test_nobody_withdraws_what_is_not_deposited_yet(files: dict[str, Any]) -> None:
    changed = copy.deepcopy(files)
    first = next(each for each in changed["applications"]["applications"] if "withdraws" in each)
    first["withdraws"]["at"] = first["submitted_at"]
    with pytest.raises(FolderBroken, match="is withdrawn before it is deposited"):
        Story.of(changed)


def test_a_folder_without_a_file_is_refused_naming_it(tmp_path: Path) -> None:
    with pytest.raises(FolderBroken, match=r"call\.yaml is missing"):
        read_files(tmp_path)
