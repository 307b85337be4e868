"""Owns the document a replay ends with: figures of the public record, and whether what people see agrees with it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from email import policy
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Any

from cli.replay.doors import Doors
from deploy.local.system import System
from shared.history import History, fold, invariants, summarise
from shared.history.reading import read_history

Document = dict[str, Any]

PAGE_AGREES = "laureates_published_as_recorded"
MAIL_AGREES = "letters_received_as_recorded"


async def document_of(system: System, doors: Doors, call_ids: list[str]) -> dict[str, Document]:
    """One document per call, from the topics. Raises KafkaError, Refused."""
    history = await read_history(system.kafka)
    holds: dict[str, bool] = dict(invariants(history))
    if system.mail_folder is not None:
        received = await asyncio.to_thread(received_message_ids, system.mail_folder)
        holds[MAIL_AGREES] = received == sent_message_ids(history)
    documents = {}
    for call_id in call_ids:
        told = summarise(history, call_id).document()
        published = [each async for each in doors.pages(None, "intake", f"/api/v1/calls/{call_id}/laureates")]
        own = {PAGE_AGREES: _lines(published) == _lines(told["laureate_list"])}
        laureates = told.pop("laureate_list")
        documents[call_id] = {**told, "invariants": {**holds, **own}, "laureate_list": laureates}
    return documents


def all_hold(document: Mapping[str, Any]) -> bool:
    """Whether every invariant holds."""
    return all(document["invariants"].values())


def sent_message_ids(history: History) -> set[str]:
    """The Message-ID of every letter that the record says has left."""
    return {letter.message_id for each in fold(history).values() for letter in each.letters if letter.sent}


def received_message_ids(folder: Path) -> set[str]:
    """The Message-ID of every message that the mail catcher keeps."""
    parser = BytesHeaderParser(policy=policy.default)
    found = set()
    for path in folder.glob("*.eml"):
        with path.open("rb") as message:
            found.add(str(parser.parse(message)["Message-ID"]).strip())
    return found


def _lines(laureates: Iterable[Mapping[str, Any]]) -> set[tuple[Any, ...]]:
    return {(each["reference"], each["organisation"], each["title"], each["amount_eur"]) for each in laureates}
