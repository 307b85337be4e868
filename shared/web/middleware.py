"""Owns what happens around every request: its trace, its one log line, its metrics and its size limit; no business."""

import time
from typing import Any

import structlog
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.telemetry import REQUEST_SECONDS, REQUESTS, Cause
from shared.web.problems import BODY_TOO_LARGE, MAX_BODY_BYTES, failure_response, respond, shown

log = structlog.get_logger()

SILENT = ("/healthz", "/readyz", "/metrics", "/status", "/static")


def route_of(scope: Scope) -> str:
    """The route's pattern, for logs and metrics: the path itself may hold more than may be told."""
    return str(getattr(scope.get("route"), "path", "unmatched"))


class Observe:
    """Gives each request its cause and trace, and writes one line when it was answered."""

    def __init__(self, app: ASGIApp, service: str) -> None:
        self.app = app
        self.service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope.setdefault("state", {})["cause"] = Cause.anew("request", Headers(scope=scope).get("traceparent"))
        answered: dict[str, Any] = {"status": 500}

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered["status"] = message["status"]
            await send(message)

        started = time.perf_counter()
        try:
            await self.app(scope, receive, watch)
        finally:
            self._tell(scope, answered["status"], time.perf_counter() - started)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        route = route_of(scope)
        REQUESTS.labels(self.service, scope["method"], route, status).inc()
        REQUEST_SECONDS.labels(self.service, route).observe(seconds)
        if not scope["path"].startswith(SILENT):
            # The route, not the path with its query: a query may carry a token.
            log.info(
                "http.answered", method=scope["method"], route=route, status=status,
                duration_ms=round(seconds * 1000, 1),
                cause=scope["state"]["cause"].id, **scope.get("path_params", {}),
            )  # fmt: skip


class AnswerFailures:
    """Answers what no edge translated: 503 while a dependency is away, else 500; a begun answer is cut off."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        began = False

        async def watch(message: Message) -> None:
            nonlocal began
            began = began or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except Exception as failure:
            if scope["type"] != "http" or began:
                raise
            await shown(Request(scope), failure_response(route_of(scope), failure))(scope, receive, send)


def declared_size(headers: Headers) -> int | None:
    """The bytes that a body says it has; None if it says nothing that can be read."""
    declared = headers.get("content-length", "")
    return int(declared) if declared.isascii() and declared.isdigit() else None


class RefuseDeclaredSize:
    """Answers a body that declares itself too large before reading it; undeclared ones are counted while read."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        declared = declared_size(Headers(scope=scope)) if scope["type"] == "http" else None
        if declared is not None and declared > MAX_BODY_BYTES:
            refusal = shown(Request(scope), respond(413, "body_too_large", BODY_TOO_LARGE))
            await refusal(scope, receive, send)
            return
        await self.app(scope, receive, send)


class HeadAsGet:
    """Answers HEAD as GET without its body (RFC 9110 §9.3.2), wherever GET is answered."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        ended = False

        async def without_body(message: Message) -> None:
            nonlocal ended
            if message["type"] != "http.response.body":
                await send(message)
            elif not ended:
                # At the first part already: a stream that never ends has a head too, and learns that nobody listens.
                ended = True
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        # A copy: the server must go on to know that it was HEAD, or it would wait for the body.
        asked = {**scope, "method": "GET"}
        try:
            await self.app(asked, receive, without_body)
        finally:
            scope.update({name: asked[name] for name in ("route", "endpoint", "path_params") if name in asked})
