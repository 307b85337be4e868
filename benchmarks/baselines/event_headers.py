"""The eleven headers of an event's record (CloudEvents 1.0, Kafka binary mode), the same of every baseline."""

from datetime import datetime
from functools import cache
from uuid import UUID


def event_headers(
    service: str,
    event_id: UUID,
    kind: str,
    key: bytes,
    time: datetime,
    sequence: int,
    causation_id: str,
    traceparent: str,
) -> list[tuple[str, bytes]]:
    return [
        *of_type(service, kind),
        ("ce_id", str(event_id).encode()),
        ("ce_subject", key),
        ("ce_time", time.isoformat().encode()),
        ("ce_sequence", b"%d" % sequence),
        ("ce_causationid", causation_id.encode()),
        ("traceparent", traceparent.encode()),
    ]


@cache
def of_type(service: str, kind: str) -> list[tuple[str, bytes]]:
    return [
        ("ce_specversion", b"1.0"),
        ("ce_type", kind.encode()),
        ("ce_source", f"/services/{service}".encode()),
        ("ce_dataschema", f"/schemas/{kind}.json".encode()),
        ("content-type", b"application/json"),
    ]
