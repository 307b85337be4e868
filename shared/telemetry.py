"""Owns traces and metrics: W3C trace context from request to letter, Prometheus counters; never business facts."""

import re
from dataclasses import dataclass

from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from prometheus_client import Counter, Gauge, Histogram

from shared.ids import new_id

REQUESTS = Counter("releve_http_requests_total", "Requests answered", ["service", "method", "route", "status"])
REQUEST_SECONDS = Histogram("releve_http_request_seconds", "Time to answer a request", ["service", "route"])
EVENTS_HANDLED = Counter("releve_events_handled_total", "Events that had their effect", ["consumer"])
"""Not by type: that would tell how many were awarded before it is announced."""
EVENTS_REPEATED = Counter("releve_events_repeated_total", "Redelivered events that were dropped", ["consumer"])
EVENTS_QUARANTINED = Counter("releve_events_quarantined_total", "Records set aside", ["consumer"])
EVENTS_RELAYED = Counter("releve_events_relayed_total", "Outbox rows sent", ["service"])
BATCH_SECONDS = Histogram("releve_batch_seconds", "Time to write one batch of records", ["consumer"])
GROUP_SIZE = Histogram(
    "releve_group_size", "Requests that shared one commit", ["what"], buckets=(1, 2, 4, 8, 16, 32, 64, 128)
)
WAITING = Gauge("releve_group_waiting", "Requests that wait for the next commit", ["what"])
RETRIES = Counter("releve_retries_total", "Tries that failed and were repeated", ["what"])
OUTBOX_UNSENT = Gauge("releve_outbox_rows", "Outbox rows seen unsent by the last look, which is bounded", ["service"])

TRACEPARENT = re.compile("00-(?P<trace>[0-9a-f]{32})-[0-9a-f]{16}-(?P<flags>[0-9a-f]{2})")
"""The header of W3C Trace Context, level 1."""
NO_TRACE = "0" * 32
_ids = RandomIdGenerator()


@dataclass(frozen=True)
class Cause:
    """What caused an event: the id of an event, request or timer run (`ce_causationid`), and its `traceparent`."""

    id: str
    traceparent: str

    @classmethod
    def anew(cls, what: str, traceparent: str | None = None) -> "Cause":
        """A cause with a new id such as `request:0190…`, within the caller's trace if it named one."""
        return cls(f"{what}:{new_id()}", follow_trace(traceparent))


def follow_trace(traceparent: str | None) -> str:
    """A `traceparent` for the next hop: the same trace with a new span, or a new trace if none or a broken one came."""
    known = TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if known is None or known["trace"] == NO_TRACE:
        return f"00-{_ids.generate_trace_id():032x}-{_ids.generate_span_id():016x}-01"
    return f"00-{known['trace']}-{_ids.generate_span_id():016x}-{known['flags']}"
