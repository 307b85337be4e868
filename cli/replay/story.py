"""Owns what a data folder tells: the call, the applications, the opinions, and who acts when; it never acts itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from cli.lines import grammar_mistake
from cli.replay.agreement import disagreements
from cli.replay.mistakes import FilesBroken, FolderBroken, Mistake, NoFolder, quoted, value_at
from shared.events.agreement import Path as Place
from shared.events.call import Call, mistakes_of
from shared.events.wording import in_words, told

FILES = {
    "call": None, "applications": "applications", "instruction": None, "marks": "evaluations",
    "reviewers": "reviewers", "calendar": "acts",
}  # fmt: skip
"""The files of a folder, each with the part that it must have."""
WRITTEN_IN: Mapping[str, tuple[str, Place]] = {
    "dossiers": ("applications", ("applications",)),
    "inadmissible": ("instruction", ("inadmissible",)),
    "conflicts": ("instruction", ("conflicts",)),
    "opinions": ("marks", ("evaluations",)),
    "reviewers": ("reviewers", ("reviewers",)),
}
"""Where each part of a story stands, the call aside; all else stands in the calendar."""
ActName = Literal[
    "publish", "reviewers", "check", "refuse", "declare", "waive", "evaluate", "arbitrate", "decide",
    "accept", "decline", "sign", "start", "complete",
]  # fmt: skip


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Withdrawal(_Part):
    """When an applicant withdraws, and the reason given."""

    at: AwareDatetime
    reason: str


class Dossier(_Part):
    """One application as its applicant sends it. `dossier` is the folder's name for it, unknown to the services."""

    dossier: str
    submitted_at: AwareDatetime
    withdraws: Withdrawal | None = None
    offer: Literal["accept", "decline", "silent"] = "accept"
    organisation: dict[str, Any]
    contact: dict[str, Any]
    project: dict[str, Any]
    declarations: dict[str, bool]

    @property
    def body(self) -> dict[str, Any]:
        """The body of the submission, as plain JSON values."""
        return self.model_dump(mode="json", include={"organisation", "contact", "project", "declarations"})


class Refusal(_Part):
    """Why an application is inadmissible: the checks that fail, and a sentence."""

    fails: tuple[str, ...] = Field(min_length=1)
    reason: str


class Conflict(_Part):
    """What a reviewer declares; `waiver` is the chair's reason to let a soft one pass."""

    kind: Literal["soft", "hard"]
    reason: str
    waiver: str | None = None


class Mark(_Part):
    """One mark of 0 to 5, or none where the criterion does not apply, with its reason."""

    value: int | None = Field(ge=0, le=5)
    reason: str


class Opinion(_Part):
    """What one reviewer, or the chair, finds."""

    marks: dict[str, Mark]
    comment: str
    recommendation: Literal["fund", "reduce", "reject"]
    recommended_eur: int | None = None


class Reviewer(_Part):
    """A member of the committee: the token's subject, and the organisations (SIREN) that they are tied to."""

    subject: str
    organisations: tuple[str, ...] = ()
    themes: tuple[str, ...] = ()


class Act(_Part):
    """What staff or a round's applicants do at an instant; `slots` and `dossiers` narrow it down."""

    at: AwareDatetime
    act: ActName
    by: str | None = None
    round: str | None = None
    slots: tuple[int, ...] = ()
    dossiers: tuple[str, ...] = ()


class Story(_Part):
    """A whole data folder, checked and with its overrides applied."""

    call: Call
    dossiers: tuple[Dossier, ...] = Field(min_length=1)
    inadmissible: dict[str, Refusal]
    conflicts: dict[str, dict[int, Conflict]]
    opinions: dict[str, dict[int | Literal["chair"], Opinion]]
    reviewers: tuple[Reviewer, ...]
    acts: tuple[Act, ...]
    ends_at: AwareDatetime

    @classmethod
    def of(cls, files: Mapping[str, Any]) -> Self:
        """The story that the files' plain values tell. Raises FolderBroken."""
        wrong = [
            Mistake("call", each.path, quoted(each.message, value_at(files["call"], each.path)))
            for each in mistakes_of(files["call"])
        ]
        try:
            story = cls.model_validate(_parts(files))
        except ValidationError as error:
            raise FilesBroken([*wrong, *_mistakes(error)]) from None
        wrong += disagreements(story)
        if wrong:
            raise FilesBroken(wrong)
        return story

    @property
    def starts_at(self) -> datetime:
        """The instant of the first act."""
        return min([act.at for act in self.acts] + [each.submitted_at for each in self.dossiers])

    def members(self, round_id: str) -> list[Dossier]:
        """The applications deposited for a round, in the order of the folder."""
        return [each for each in self.dossiers if self.round_of(each) == round_id]

    def key(self, dossier: str, act: str) -> str:
        """The Idempotency-Key of an applicant's act: the same at every replay of this story, and of no other."""
        return hashlib.sha256(f"{self.call.id}/{dossier}/{act}".encode()).hexdigest()

    def round_of(self, dossier: Dossier) -> str | None:
        """The id of the round that a dossier is deposited for; None while none is open."""
        found = self.call.round_at(dossier.submitted_at)
        return found.id if found else None


def _parts(files: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **files["calendar"],
        "call": files["call"],
        "dossiers": files["applications"]["applications"],
        "inadmissible": files["instruction"].get("inadmissible") or {},
        "conflicts": files["instruction"].get("conflicts") or {},
        "opinions": files["marks"]["evaluations"],
        "reviewers": files["reviewers"]["reviewers"],
    }


def _mistakes(error: ValidationError) -> Iterator[Mistake]:
    """What is wrong in the files beside the call's, by the names that stand there."""
    for each in told(error.errors(include_url=False)):
        first, *rest = each["loc"]
        if first == "call":  # told by the call's own model, with what its parts disagree on
            continue
        # Pydantic calls a wrong name of a mapping "[key]", and lists the kinds that a name may be.
        place = tuple(rest[: rest.index("[key]")] if "[key]" in rest else rest)
        file, under = WRITTEN_IN.get(str(first), ("calendar", (first,)))
        yield Mistake(file, (*under, *place), quoted(in_words(each), each["input"]))


def read_files(folder: Path) -> dict[str, Any]:
    """The folder's files as plain values, by name; each has the part that it is for. Raises FolderBroken."""
    if not folder.is_dir():
        raise NoFolder(folder)
    return {name: _read(folder / f"{name}.yaml", part) for name, part in FILES.items()}


def _read(path: Path, part: str | None) -> dict[str, Any]:
    try:
        document = YAML(typ="safe").load(path.read_text("utf-8"))
    except FileNotFoundError:
        raise FolderBroken(f"{path} is missing") from None
    except OSError as error:
        raise FolderBroken(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise FolderBroken(f"{path} is not UTF-8") from None
    except (YAMLError, ValueError) as error:
        line, reason = grammar_mistake(error)
        raise FolderBroken(f"{path}:{line}: {reason}") from None
    if not isinstance(document, dict):
        raise FolderBroken(f"{path} {'is empty' if document is None else 'has no names and values'}")
    if part is not None and not isinstance(document.get(part), dict if part == "evaluations" else list):
        there = f", only {', '.join(map(str, document))}" if document and part not in document else ""
        raise FolderBroken(f"{path} has no list named {part}{there}")
    return document
