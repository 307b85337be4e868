"""Owns how the bodies that intake reads by itself are described in its OpenAPI document; it validates nothing."""

from typing import Any

from pydantic import BaseModel

from services.intake.reading import Submission
from shared.events.call import Call


def body_of(model: type[BaseModel]) -> dict[str, Any]:
    """A request body of that shape, every part written out where it stands."""
    schema = model.model_json_schema()
    parts = schema.pop("$defs", {})
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": _inline(schema, parts)}}}}


def _inline(node: Any, parts: dict[str, Any]) -> Any:
    if isinstance(node, dict):
        if "$ref" in node:
            return _inline(parts[node["$ref"].rpartition("/")[2]], parts)
        return {name: _inline(value, parts) for name, value in node.items()}
    return [_inline(each, parts) for each in node] if isinstance(node, list) else node


_KEY = {
    "name": "Idempotency-Key", "in": "header", "required": True,
    "schema": {"type": "string", "minLength": 1, "maxLength": 200},
    "description": "Chosen by the client; a repetition with the same key and body gets the first answer again.",
}  # fmt: skip

SUBMISSION_BODY = body_of(Submission) | {"parameters": [_KEY]}
CALL_BODY = body_of(Call)
