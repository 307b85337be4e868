"""Damage done to the evidence of a whole system, by the check that must see it; the system itself is left alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from cli.verify import Evidence

Damage = Callable[[Evidence], Evidence]


def _without_one(service: str, table: str, **where: Any) -> Damage:
    """One row is lost."""

    def damage(evidence: Evidence) -> Evidence:
        rows = list(evidence.tables[service][table])
        rows.remove(_first(rows, where))
        return _with(evidence, service, table, rows)

    return damage


def _with_one_changed(service: str, table: str, change: Mapping[str, Any], **where: Any) -> Damage:
    """One row says something else."""

    def damage(evidence: Evidence) -> Evidence:
        rows = list(evidence.tables[service][table])
        at = rows.index(_first(rows, where))
        rows[at] = {**rows[at], **change}
        return _with(evidence, service, table, rows)

    return damage


def _first(rows: list[Mapping[str, Any]], where: Mapping[str, Any]) -> Mapping[str, Any]:
    return next(row for row in rows if all(row[name] == value for name, value in where.items()))


def _with(evidence: Evidence, service: str, table: str, rows: list[Mapping[str, Any]]) -> Evidence:
    tables = {**evidence.tables, service: {**evidence.tables[service], table: rows}}
    return replace(evidence, tables=tables)


def _one_answer_of_another_id(evidence: Evidence) -> Evidence:
    first = replace(evidence.answers[0], application_id="0190d5c0-0000-7000-8000-000000000000")
    return replace(evidence, answers=[first, *evidence.answers[1:]])


def _one_message_lost(evidence: Evidence) -> Evidence:
    assert evidence.received
    return replace(evidence, received=evidence.received - {min(evidence.received)})


def _one_applicant_shown_otherwise(evidence: Evidence) -> Evidence:
    return replace(evidence, seen={**evidence.seen, min(evidence.seen): "in_review"})


def _an_outbox_row_left(evidence: Evidence) -> Evidence:
    return _with(evidence, "review", "outbox", [{"topic": "review.scores", "key": "x"}])


DAMAGE: Mapping[str, Damage] = {
    "every_answer_has_its_event": _one_answer_of_another_id,
    "every_effect_once": _without_one("funding", "inbox", consumer="funding.review.scores"),
    "nothing_left_behind": _an_outbox_row_left,
    "ledger_as_recorded": _with_one_changed("funding", "balance", {"reserved_eur": 1}),
    "index_as_recorded": _without_one("ops", "event", topic="review.scores"),
    "letters_received_as_recorded": _one_message_lost,
    "intake_state_follows": _without_one("intake", "fact", kind="awarded"),
    "review_state_follows": _with_one_changed("review", "application", {"state": "to_check"}, state="scored"),
    "funding_state_follows": _with_one_changed("funding", "application", {"award": "lapsed"}, award="completed"),
    "notify_state_follows": _with_one_changed("notify", "delivery", {"state": "erased"}, state="sent"),
    "applicants_see_what_holds": _one_applicant_shown_otherwise,
}
