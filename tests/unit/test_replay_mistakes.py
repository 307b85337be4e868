"""Mistakes of a data folder: each is told with its file, its line and its names, before anything is played."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.replay.mistakes import FilesBroken, FolderBroken, NoFolder
from cli.replay.overrides import OverrideImpossible, override
from cli.replay.story import Story, read_files
from tests.builders_history import DATA


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DATA / "short-money", tmp_path / "short-money"))


@pytest.fixture
def rewrite(folder: Path) -> Callable[[str, str, str], int]:
    """Puts another text once into a file; the line where it stands."""

    def put(file: str, good: str, bad: str) -> int:
        path = folder / file
        text = path.read_text("utf-8")
        assert good in text
        path.write_text(text.replace(good, bad, 1), "utf-8")
        return text[: text.index(good)].count("\n") + 1

    return put


def told(folder: Path, *settings: str) -> str:
    files = read_files(folder)
    changed = override(files, settings)
    with pytest.raises(FilesBroken) as broken:
        Story.of(changed)
    return broken.value.told(folder, files, changed)


WRONG = {
    "a slip of a name": ("applications.yaml", "dossier: s01", "dosier: s01", "applications.0.dossier: is missing"),
    "marks of nobody": ("marks.yaml", "  s01:", "  s99:", "evaluations.s99: applications.yaml has no dossier s99"),
    "a bound": ("call.yaml", "pass_mark: ", "pass_mark: 1", "rubric.pass_mark: must be at most 100, not 1"),
    "a theme of nowhere": ("applications.yaml", "themes: [support]", "themes: [suport]", "s01 names the theme suport"),
    "a check of nowhere": ("instruction.yaml", "[one_per_organisation]", "[luck]", "s06 fails the check luck"),
    "a mark too high": (
        "marks.yaml", "relevance: {value: 4,", "relevance: {value: 7,",
        "evaluations.s01.1.marks.relevance.value: must be at most 5, not 7",
    ),
    "an unknown act": ("calendar.yaml", "act: reviewers", "act: dance", "acts.1.act: must be 'publish'"),
    "an unknown name": ("calendar.yaml", "ends_at:", "end_at: x\nends_at:", "end_at: is not a name that belongs here"),
    "a round of nowhere": ("calendar.yaml", "round: short-money-r1", "round: r9", "the calendar names the round r9"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_told_with_its_file_its_line_and_its_names(
    folder: Path, rewrite: Callable[[str, str, str], int], case: str
) -> None:
    file, good, bad, says = WRONG[case]
    line = rewrite(file, good, bad)
    first = told(folder).splitlines()[0]
    assert first.startswith(f"{folder / file}:{line}: ")
    assert says in first


def test_what_was_set_is_told_by_its_place_and_no_line_of_the_file(folder: Path) -> None:
    assert told(folder, "rubric.pass_mark=160") == "--set rubric.pass_mark: must be at most 100, not 160"


def test_one_wrong_item_of_a_list_is_one_mistake(folder: Path) -> None:
    said = told(folder, "rounds.0.closes_at=foo")
    assert said == "--set rounds.0.closes_at: must be an instant such as 2021-09-30T23:59:00+02:00, not 'foo'"


def test_mistakes_of_several_files_are_told_at_once(folder: Path, rewrite: Callable[[str, str, str], int]) -> None:
    for case in ("marks of nobody", "a theme of nowhere", "a check of nowhere"):
        rewrite(*WRONG[case][:3])
    assert len(told(folder).splitlines()) == 3


def write(path: Path, content: str | bytes) -> None:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


BROKEN: dict[str, tuple[str | bytes, str]] = {
    "nothing in it": ("", "marks.yaml is empty"),
    "another name": ("marks: {}\n", "marks.yaml has no list named evaluations, only marks"),
    "no YAML": ("a: [1\n", "marks.yaml:2: not YAML"),
    "no such day": ("evaluations: {s01: 2021-02-30}\n", "marks.yaml:1: not YAML"),
    "not UTF-8": (b"\xff\xfe", "marks.yaml is not UTF-8"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_file_that_cannot_be_read_is_one_sentence(folder: Path, case: str) -> None:
    content, says = BROKEN[case]
    write(folder / "marks.yaml", content)
    with pytest.raises(FolderBroken) as broken:
        read_files(folder)
    assert says in str(broken.value)
    assert len(str(broken.value).splitlines()) == 1


def test_a_folder_in_place_of_a_file_is_one_sentence(folder: Path) -> None:
    (folder / "marks.yaml").unlink()
    (folder / "marks.yaml").mkdir()
    with pytest.raises(FolderBroken, match=r"marks\.yaml cannot be read: Is a directory"):
        read_files(folder)


@pytest.mark.parametrize(("named", "says"), [("call.yaml", "name the folder that it lies in"), ("no", "is no folder")])
def test_what_is_no_folder_is_refused_with_what_to_name(folder: Path, named: str, says: str) -> None:
    with pytest.raises(NoFolder, match=says):
        read_files(folder / named)


def test_a_setting_on_a_folder_that_has_mistakes_itself_ends_in_a_sentence(folder: Path) -> None:
    files: dict[str, Any] = read_files(folder)
    del files["call"]["rounds"][0]["id"]
    with pytest.raises(OverrideImpossible, match="has mistakes itself"):
        override(files, ["id=other"])
