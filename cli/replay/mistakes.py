"""Owns how mistakes of a data folder are told: the file, the line, the place by its names there; it finds none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.lines import composed, line_of
from shared.counted import counted
from shared.events.agreement import Path as Place

MISTAKES_TOLD = 5
LONGEST_QUOTED = 60


class FolderBroken(Exception):
    """A data folder cannot be replayed; the message says which file and why."""


class NoFolder(FolderBroken):
    """What was named is no folder at all."""

    def __init__(self, path: Path) -> None:
        why = "is a file: name the folder that it lies in" if path.is_file() else "is no folder"
        super().__init__(f"{path} {why}, such as data/innovation-2021.")
        self.path = path


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong at a place of `<file>.yaml`."""

    file: str
    place: Place
    message: str

    def __str__(self) -> str:
        """As it is told where no folder is known: `call.yaml: rubric.pass_mark: must be at most 100`."""
        return f"{self.file}.yaml: {self.sentence}"

    @property
    def sentence(self) -> str:
        """The place by its names, and what is wrong there."""
        return f"{'.'.join(map(str, self.place))}: {self.message}".removeprefix(": ")


class FilesBroken(FolderBroken):
    """The files can be read, and what they tell cannot be replayed; carries every mistake."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes: Sequence[Mistake] = tuple(mistakes)
        super().__init__("\n".join(_no_more(self.mistakes, map(str, self.mistakes))))

    def told(self, folder: Path, files: Mapping[str, Any], changed: Mapping[str, Any]) -> str:
        """Each mistake with its line in the folder; at `--set` where the `changed` files differ from what was read."""
        roots: dict[str, Any] = {}

        def one(mistake: Mistake) -> str:
            if value_at(files[mistake.file], mistake.place) != value_at(changed[mistake.file], mistake.place):
                return f"--set {mistake.sentence}"
            path = folder / f"{mistake.file}.yaml"
            if mistake.file not in roots:
                roots[mistake.file] = composed(path.read_text("utf-8"))
            return f"{path}:{line_of(roots[mistake.file], mistake.place)}: {mistake.sentence}"

        return "\n".join(_no_more(self.mistakes, map(one, self.mistakes)))


def value_at(document: Any, place: Place) -> Any:
    """What stands at a place of plain values; None where nothing does."""
    for part in place:
        try:
            document = document[part]
        except (KeyError, IndexError, TypeError):
            return None
    return document


def quoted(message: str, value: Any) -> str:
    """The message, with the value that is not what it must be."""
    if message.startswith("must ") and isinstance(value, str | int | float):
        said = repr(value)
        return f"{message}, not {said if len(said) <= LONGEST_QUOTED else said[:LONGEST_QUOTED] + '…'}"
    return message


def _no_more(mistakes: Sequence[Mistake], lines: Iterator[str]) -> Iterator[str]:
    """No more than a reader takes in."""
    for _ in mistakes[:MISTAKES_TOLD]:
        yield next(lines)
    if len(mistakes) > MISTAKES_TOLD:
        yield f"and {counted(len(mistakes) - MISTAKES_TOLD, 'more mistake')}"
