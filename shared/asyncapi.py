"""Owns the AsyncAPI 3 document, generated from the declared topics and the event models; it declares nothing itself.

`python -m shared.asyncapi` writes `docs/asyncapi.yaml`.
"""

from io import StringIO
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema
from ruamel.yaml import YAML

from shared.events.base import Event
from shared.events.schemas import declared_types
from shared.events.topics import BY_NAME, FOR_GOOD, TOPICS, Topic

PATH = Path(__file__).resolve().parents[1] / "docs" / "asyncapi.yaml"
REFERENCE = "#/components/schemas/{model}"

ENVELOPE = {
    "ce_specversion": {"type": "string", "const": "1.0"},
    "ce_id": {"type": "string", "format": "uuid", "description": "UUIDv7, the key of de-duplication."},
    "ce_type": {"type": "string", "description": "The type and its version, such as releve.GrantAwarded.v1."},
    "ce_source": {"type": "string", "description": "The emitting service, such as /services/funding."},
    "ce_subject": {"type": "string", "description": "The Kafka key."},
    "ce_time": {"type": "string", "format": "date-time", "description": "Business time, UTC."},
    "ce_sequence": {"type": "string", "description": "1, 2, 3 … per topic and key, without gap where kept for good."},
    "ce_causationid": {"type": "string", "description": "The event or request that caused it."},
    "ce_dataschema": {"type": "string", "format": "uri-reference"},
    "traceparent": {"type": "string", "description": "W3C Trace Context."},
    "content-type": {"type": "string", "const": "application/json"},
}


def document() -> dict[str, Any]:
    """The whole document as plain values."""
    kinds = declared_types()
    references, definitions = models_json_schema(
        [(kind, "serialization") for kind in kinds.values()], ref_template=REFERENCE
    )
    messages = {full: _message(kind, references[kind, "serialization"]) for full, kind in kinds.items()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Relevé",
            "version": "1",
            "description": "Every event that a service of Relevé says, in CloudEvents 1.0 Kafka binary mode.",
            "license": {"name": "EUPL-1.2"},
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in TOPICS},
        "operations": {name: operation for topic in TOPICS for name, operation in _operations(topic).items()},
        "components": {
            "messages": messages,
            "messageTraits": {"cloudEvents": {"headers": {"type": "object", "properties": ENVELOPE,
                                                          "required": sorted(ENVELOPE)}}},
            "schemas": dict(sorted(definitions["$defs"].items())),
        },
    }  # fmt: skip


def _types_of(topic: Topic) -> list[str]:
    return [full for full, kind in declared_types().items() if kind.__name__ in topic.events]


def _message(kind: type[Event], payload: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": kind.type_name(),
        "title": kind.__name__,
        "summary": (kind.__doc__ or "").strip(),
        "contentType": "application/json",
        "traits": [{"$ref": "#/components/messageTraits/cloudEvents"}],
        "payload": payload,
    }


def _channel(topic: Topic) -> dict[str, Any]:
    kept = "for good" if topic.retention_ms == FOR_GOOD else f"{topic.retention_ms} ms"
    keys = " or ".join(topic.keys)
    personal = " Holds personal data: only its declared readers may read it." if topic.personal else ""
    compacted = ", compacted" if topic.cleanup == "compact" else ""
    return {
        "address": topic.name,
        "description": f"Keyed by {keys}; kept {kept}{compacted}.{personal}",
        "messages": {full: {"$ref": f"#/components/messages/{full}"} for full in _types_of(topic)},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": {"cleanup.policy": [topic.cleanup], "retention.ms": topic.retention_ms},
                "bindingVersion": "0.5.0",
            }
        },
    }


def _operations(topic: Topic) -> dict[str, Any]:
    messages = [{"$ref": f"#/channels/{topic.name}/messages/{full}"} for full in _types_of(topic)]
    channel = {"$ref": f"#/channels/{topic.name}"}
    sent = {f"{topic.emitter}.sends.{topic.name}": {"action": "send", "channel": channel, "messages": messages}}
    read = {
        f"{reader}.reads.{topic.name}": {
            "action": "receive", "channel": channel, "messages": messages,
            "bindings": {"kafka": {"groupId": {"type": "string", "const": f"{reader}.{topic.name}"},
                                   "bindingVersion": "0.5.0"}},
        }
        for reader in BY_NAME[topic.name].readers
    }  # fmt: skip
    return sent | read


def text() -> str:
    """The document as it is committed."""
    yaml = YAML()
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    # No anchors: every value stands where it belongs.
    yaml.representer.ignore_aliases = lambda _: True
    written = StringIO()
    yaml.dump(document(), written)
    return "# Generated by `python -m shared.asyncapi` from shared/events/; do not edit.\n" + written.getvalue()


if __name__ == "__main__":
    PATH.write_text(text(), "utf-8")
