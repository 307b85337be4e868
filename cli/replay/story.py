"""Owns what a data folder tells: the call, the applications, the opinions, and who acts when; it never acts itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from shared.counted import counted
from shared.events.call import Call

MISTAKES_TOLD = 5
FILES = ("call", "applications", "instruction", "marks", "reviewers", "calendar")
ActName = Literal[
    "publish", "reviewers", "check", "refuse", "declare", "waive", "evaluate", "arbitrate", "decide",
    "accept", "decline", "sign", "start", "complete",
]  # fmt: skip


class FolderBroken(Exception):
    """A data folder cannot be replayed; the message says which file and why."""


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
        try:
            return cls.model_validate(
                {
                    "call": files["call"],
                    "dossiers": files["applications"]["applications"],
                    "inadmissible": files["instruction"].get("inadmissible") or {},
                    "conflicts": files["instruction"].get("conflicts") or {},
                    "opinions": files["marks"]["evaluations"],
                    "reviewers": files["reviewers"]["reviewers"],
                    **files["calendar"],
                }
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise FolderBroken(f"a file of the folder lacks a part: {error}") from None
        except ValidationError as error:
            raise FolderBroken("\n".join(_mistakes(error))) from None

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        names = [each.dossier for each in self.dossiers]
        if len(set(names)) != len(names):
            raise ValueError("a dossier stands twice")
        rounds = {each.id for each in self.call.rounds}
        for act in self.acts:
            if act.round is not None and act.round not in rounds:
                raise ValueError(f"the calendar names the round {act.round}, which the call has not")
        for each in self.dossiers:
            if self._round_of(each) is None:
                raise ValueError(f"{each.dossier} is deposited while no round is open")
            if each.withdraws is not None and each.withdraws.at <= each.submitted_at:
                raise ValueError(f"{each.dossier} is withdrawn before it is deposited")
        for named in (*self.inadmissible, *self.conflicts, *self.opinions):
            if named not in names:
                raise ValueError(f"{named} is named, but no application is")
        return self

    @property
    def starts_at(self) -> datetime:
        """The instant of the first act."""
        return min([act.at for act in self.acts] + [each.submitted_at for each in self.dossiers])

    def members(self, round_id: str) -> list[Dossier]:
        """The applications deposited for a round, in the order of the folder."""
        return [each for each in self.dossiers if self._round_of(each) == round_id]

    def key(self, dossier: str, act: str) -> str:
        """The Idempotency-Key of an applicant's act: the same at every replay of this story, and of no other."""
        return hashlib.sha256(f"{self.call.id}/{dossier}/{act}".encode()).hexdigest()

    def _round_of(self, dossier: Dossier) -> str | None:
        found = self.call.round_at(dossier.submitted_at)
        return found.id if found else None


def _mistakes(error: ValidationError) -> Iterator[str]:
    """What is wrong and where, a line each, no more than a reader takes in."""
    found = error.errors(include_url=False, include_context=False)
    for each in found[:MISTAKES_TOLD]:
        where = ".".join(str(part) for part in each["loc"])
        given = f", not {each['input']!r}" if isinstance(each["input"], str | int | float) else ""
        yield f"{where}: {each['msg'].removeprefix('Value error, ')}{given}".removeprefix(": ")
    if len(found) > MISTAKES_TOLD:
        yield f"and {counted(len(found) - MISTAKES_TOLD, 'more mistake')}"


def read_files(folder: Path) -> dict[str, Any]:
    """The folder's files as plain values, by name. Raises FolderBroken."""
    yaml = YAML(typ="safe")
    files: dict[str, Any] = {}
    for name in FILES:
        path = folder / f"{name}.yaml"
        try:
            files[name] = yaml.load(path)
        except FileNotFoundError:
            raise FolderBroken(f"{path} is missing") from None
        except YAMLError as error:
            raise FolderBroken(f"{path} is not YAML: {error}") from None
    return files
