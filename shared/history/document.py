"""Owns how a story is written as JSON, the same from the command line and from ops; it selects nothing."""

import json
from typing import Any

from shared.history.recorded import Recorded, Unreadable
from shared.history.trace import Trace
from shared.history.waiting import Gap


def recorded_document(recorded: Recorded) -> dict[str, Any]:
    """One event with its place and envelope."""
    return {
        "topic": recorded.topic, "partition": recorded.partition, "offset": recorded.offset, "key": recorded.key,
        "type": recorded.type, "event_id": recorded.event_id, "sequence": recorded.sequence,
        "causation_id": recorded.causation_id, "time": recorded.time.isoformat(),
        "recorded_at": recorded.recorded_at.isoformat(), "event": json.loads(recorded.event.model_dump_json()),
    }  # fmt: skip


def unreadable_document(broken: Unreadable) -> dict[str, Any]:
    """One record that is no event."""
    return {
        "topic": broken.topic, "partition": broken.partition, "offset": broken.offset, "key": broken.key,
        "event_id": broken.event_id, "recorded_at": broken.recorded_at.isoformat(), "broken": broken.reason,
    }  # fmt: skip


def gap_document(gap: Gap) -> dict[str, Any]:
    """One thing that is expected and not recorded."""
    return {
        "code": gap.code, "waits_for": gap.waits_for, "since": gap.since.isoformat(),
        "waited_s": int(gap.waited.total_seconds()), "person": gap.person, "sentence": gap.sentence,
    }  # fmt: skip


def trace_document(trace: Trace) -> dict[str, Any]:
    """The story of one application."""
    application = trace.application
    return {
        "application_id": application.application_id,
        "reference": trace.reference,
        "status": application.status,
        "told": application.told,
        "now": trace.now.isoformat(),
        "steps": [
            {
                **recorded_document(step.recorded),
                "after_s": step.after.total_seconds() if step.after is not None else None,
                "caused_by": step.caused_by,
            }
            for step in trace.steps
        ],
        "gaps": [gap_document(gap) for gap in trace.gaps],
    }
