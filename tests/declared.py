"""A client of a service that holds every answer against the service's own OpenAPI document."""

from __future__ import annotations

import re
from typing import Any

import httpx
from fastapi import FastAPI

from shared.web.problems import MEDIA_TYPE

_documents: dict[str, dict[str, Any]] = {}
"""By the application's title: describing one takes longer than a test of it."""


def client_of(app: FastAPI, base_url: str, *, raises: bool = True, **options: Any) -> httpx.AsyncClient:
    """A client whose requests fail the test when an answer's status or code is not described."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=raises)

    async def declared(answer: httpx.Response) -> None:
        operation = _operation(app, answer.request)
        if operation is None:
            return
        asked = f"{answer.request.method} {answer.request.url.path}: {answer.status_code}"
        described = operation["responses"].get(str(answer.status_code))
        assert described is not None, f"{asked} is not described"
        if answer.is_error:
            assert answer.headers["content-type"] == MEDIA_TYPE, asked
            await answer.aread()
            _, own = described["content"][MEDIA_TYPE]["schema"]["allOf"]
            assert answer.json()["code"] in own["properties"]["code"]["enum"], f"{asked} {answer.json()['code']}"

    return httpx.AsyncClient(transport=transport, base_url=base_url, event_hooks={"response": [declared]}, **options)


def _operation(app: FastAPI, request: httpx.Request) -> dict[str, Any] | None:
    """The operation that a request is for, if it is one of the interface."""
    if app.title not in _documents:
        _documents[app.title] = app.openapi()
    for path, operations in _documents[app.title]["paths"].items():
        pattern = re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(path))
        if path.startswith("/api/") and re.fullmatch(pattern, request.url.path):
            found: dict[str, Any] | None = operations.get(request.method.lower())
            if found is not None:
                return found
    return None
