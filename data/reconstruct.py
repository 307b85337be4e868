"""Owns the reconstruction of marks: a seeded draw around a declared level; it never looks at who is awarded.

`python data/reconstruct.py data/innovation-2021` writes its marks.yaml; the same folder always gives the same bytes.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from random import Random
from typing import Any

from ruamel.yaml import YAML

OPINIONS = 3
"""Opinions drawn for each application: two are asked for, the third serves if they differ too much."""
FUND_FROM, REDUCE_FROM = 64, 54
"""An evaluation's own score from which it proposes the whole request, or a part of it."""
HEADER = """# Les avis du comité, par dossier et rang d'affectation (slot), puis ceux de la présidence si elle tranche.
# Fichier écrit par data/reconstruct.py, reconstitution déclarée : voir SOURCES.md. Seuls les avis demandés servent.
"""

Marks = dict[str, int | None]


@dataclass(frozen=True)
class Criterion:
    """A criterion of the rubric and its weight."""

    id: str
    weight: float


@dataclass(frozen=True)
class Folder:
    """What the draw starts from, as read from a data folder."""

    criteria: tuple[Criterion, ...]
    requested_eur: Mapping[str, int]
    minimum_eur: int
    settings: Mapping[str, Any]
    steps_back: frozenset[tuple[str, int]]
    left_out: frozenset[str]
    wordings: Mapping[str, Any]


def read_yaml(path: Path) -> Any:
    """One YAML file as plain values."""
    return YAML(typ="safe").load(path)


def read(folder: Path) -> Folder:
    """Read the folder's call, applications, instruction and reconstruction settings."""
    call = read_yaml(folder / "call.yaml")
    applications = read_yaml(folder / "applications.yaml")["applications"]
    instruction = read_yaml(folder / "instruction.yaml")
    conflicts = instruction.get("conflicts") or {}
    return Folder(
        criteria=tuple(Criterion(each["id"], float(each["weight"])) for each in call["rubric"]["criteria"]),
        requested_eur={each["dossier"]: each["project"]["requested_eur"] for each in applications},
        minimum_eur=call["grant"]["min_eur"],
        settings=read_yaml(folder / "reconstruction.yaml"),
        steps_back=frozenset(
            (dossier, slot) for dossier, slots in conflicts.items() for slot in slots if slots[slot]["kind"] == "hard"
        ),
        left_out=frozenset(instruction["inadmissible"]),
        wordings=read_yaml(folder.parent / "wordings.yaml"),
    )


class Draw:
    """One application's draw; its own seed keeps it the same whatever is added before it."""

    def __init__(self, folder: Folder, dossier: str) -> None:
        self.folder, self.dossier = folder, dossier
        self.random = Random(f"{folder.settings['seed']}/{dossier}")  # noqa: S311  (a reconstruction, not a secret)
        spread = folder.settings["level"]
        drawn = self.random.gauss(spread["mean"], spread["deviation"])
        level = folder.settings.get("levels", {}).get(dossier, drawn)
        by = folder.settings["by_criterion"]
        self.strengths = {c.id: level / 20 + self.random.gauss(0, by["project"]) for c in folder.criteria}

    def marks(self, slot: int) -> Marks:
        """The marks of one slot: the project's strengths, the reviewer's lean and judgement on each criterion."""
        settings = self.folder.settings
        by = settings["by_criterion"]
        apart = settings.get("disagreements", {}).get(self.dossier, {}).get(slot, 0)
        lean = apart / 20 + self.random.gauss(0, by["lean"])
        drawn = {name: value + lean + self.random.gauss(0, by["judgement"]) for name, value in self.strengths.items()}
        out = settings.get("not_applicable", {}).get(self.dossier, {}).get(slot, [])
        return {name: None if name in out else min(5, max(0, round(value))) for name, value in drawn.items()}

    def arbiter(self) -> Marks:
        """What the chair finds on rereading: the strengths themselves."""
        return {name: min(5, max(0, round(value))) for name, value in self.strengths.items()}


def own_score(folder: Folder, marks: Marks) -> float:
    """An evaluation's own score of 100, criteria without a mark left out."""
    counted = [(c.weight, mark) for c in folder.criteria if (mark := marks[c.id]) is not None]
    return 20 * sum(weight * mark for weight, mark in counted) / sum(weight for weight, _ in counted)


def advice(folder: Folder, dossier: str, score: float) -> tuple[str, int | None]:
    """The recommendation and the euros that go with an own score, to the next lower 500 €."""
    requested = folder.requested_eur[dossier]
    if score >= FUND_FROM:
        return "fund", requested
    if score < REDUCE_FROM:
        return "reject", None
    kept = requested * (92 if score >= (FUND_FROM + REDUCE_FROM) / 2 else 85) // 100
    return "reduce", max(folder.minimum_eur, kept // 500 * 500)


def quoted(text: str) -> str:
    """A text as a double-quoted YAML scalar."""
    return json.dumps(text, ensure_ascii=False)


def mark_line(draw: Draw, name: str, mark: int | None) -> str:
    """One criterion's mark with its reason."""
    wordings = draw.folder.wordings
    reason = wordings["not_applicable"] if mark is None else draw.random.choice(wordings["reasons"][name][mark])
    return f"{name}: {{value: {'null' if mark is None else mark}, reason: {quoted(reason)}}}"


def comment(draw: Draw, marks: Marks, recommendation: str) -> str:
    """The conclusion, naming the strongest and the weakest criterion."""
    given = {name: mark for name, mark in marks.items() if mark is not None}
    names = draw.folder.wordings["names"]
    text: str = draw.random.choice(draw.folder.wordings["comments"][recommendation])
    text = text.format(fort=names[max(given, key=given.__getitem__)], faible=names[min(given, key=given.__getitem__)])
    return text[0].upper() + text[1:]


def opinion(draw: Draw, marks: Marks, indent: str) -> Iterator[str]:
    """The lines of one set of marks and the euros that go with it."""
    recommendation, euros = advice(draw.folder, draw.dossier, own_score(draw.folder, marks))
    yield f"{indent}marks:"
    for name, mark in marks.items():
        yield f"{indent}  {mark_line(draw, name, mark)}"
    yield f"{indent}comment: {quoted(comment(draw, marks, recommendation))}"
    yield f"{indent}recommendation: {recommendation}"
    yield f"{indent}recommended_eur: {'null' if euros is None else euros}"


def application(folder: Folder, dossier: str) -> Iterator[str]:
    """The lines of one application: its slots, then the chair."""
    draw = Draw(folder, dossier)
    yield f"  {dossier}:"
    free = (slot for slot in count(1) if (dossier, slot) not in folder.steps_back)
    for slot in islice(free, OPINIONS):
        yield f"    {slot}:"
        yield from opinion(draw, draw.marks(slot), " " * 6)
    yield "    chair:"
    yield from opinion(draw, draw.arbiter(), " " * 6)


def reconstruct(folder: Path) -> str:
    """The whole marks.yaml of a data folder."""
    read_in = read(folder)
    instructed = [dossier for dossier in read_in.requested_eur if dossier not in read_in.left_out]
    lines = [line for dossier in instructed for line in application(read_in, dossier)]
    return HEADER + "evaluations:\n" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        target = Path(name) / "marks.yaml"
        target.write_text(reconstruct(Path(name)), encoding="utf-8")
        print(target)  # noqa: T201  (says what it wrote)
