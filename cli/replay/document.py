"""Owns the document a replay ends with: figures of the public record, and whether all else agrees with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cli.replay.doors import Doors
from cli.verify import Answer, gather, verify
from deploy.local.system import System
from shared.history import summarise

Document = dict[str, Any]

PAGE_AGREES = "laureates_published_as_recorded"


async def document_of(
    system: System, doors: Doors, call_ids: list[str], answers: Sequence[Answer]
) -> dict[str, Document]:
    """One document per call. `answers`: what applicants were answered. Raises KafkaError, NotReached, Refused."""
    evidence = await gather(system, answers)
    holds = {name: not findings for name, findings in verify(evidence).items()}
    documents = {}
    for call_id in call_ids:
        told = summarise(evidence.history, call_id).document()
        published = [each async for each in doors.pages(None, "intake", f"/api/v1/calls/{call_id}/laureates")]
        own = {PAGE_AGREES: _lines(published) == _lines(told["laureate_list"])}
        laureates = told.pop("laureate_list")
        documents[call_id] = {**told, "invariants": {**holds, **own}, "laureate_list": laureates}
    return documents


def all_hold(document: Mapping[str, Any]) -> bool:
    """Whether every invariant holds."""
    return all(document["invariants"].values())


def _lines(laureates: Iterable[Mapping[str, Any]]) -> set[tuple[Any, ...]]:
    return {(each["reference"], each["organisation"], each["title"], each["amount_eur"]) for each in laureates}
