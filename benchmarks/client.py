"""Owns a bare HTTP client: whole requests made beforehand, sent over kept connections, answers kept in their order.

It shares no code with the product; so that little of what is measured is the client, it knows only what it needs.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class Answer:
    """The status and the body of one answer."""

    status: int
    body: bytes

    @property
    def document(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def request(method: str, path: str, body: Any = None, token: str | None = None, **headers: str) -> bytes:
    """One request, ready to be written; `body` goes as JSON."""
    sent = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(sent)}"]
    lines += ["Content-Type: application/json"] if sent else []
    lines += [f"Authorization: Bearer {token}"] if token else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + sent


class _Connection(asyncio.Protocol):
    """One kept connection: a request at a time."""

    def __init__(self, waiting: list[tuple[int, bytes]], answers: dict[int, Answer]) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting, self._answers = waiting, answers
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._number = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._next()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        if len(body) < int(length.partition(b":")[2]):
            return
        self._answers[self._number] = Answer(int(head[9:12]), body)
        self._received = b""
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server closed the connection"))

    def _next(self) -> None:
        assert self._transport is not None
        if not self._waiting:
            self.done.set_result(None)
            self._transport.close()
            return
        self._number, sent = self._waiting.pop()
        self._transport.write(sent)


async def ask(url: str, requests: Sequence[bytes], connections: int = CONNECTIONS) -> list[Answer]:
    """Send them all, in order, so many at a time; the answers in the same order. Raises OSError."""
    waiting, answers = list(enumerate(requests))[::-1], dict[int, Answer]()
    host, port = urlsplit(url).netloc.split(":")
    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(lambda: _Connection(waiting, answers), host, int(port))
        for _ in range(min(connections, len(requests)))
    ]
    await asyncio.gather(*(protocol.done for _, protocol in opened))
    return [answers[number] for number in range(len(requests))]


class NotTaken(Exception):
    """A server refused a request; data: its status and what it said."""


async def ask_well(url: str, requests: Sequence[bytes], connections: int = CONNECTIONS) -> list[Answer]:
    """The same, all answered with success. Raises NotTaken, OSError."""
    answers = await ask(url, requests, connections)
    for each in answers:
        if each.status // 100 != 2:  # noqa: PLR2004 - 2xx
            raise NotTaken(each.status, each.body[:500])
    return answers


async def ask_one(url: str, asked: bytes, expected: Mapping[int, str] | None = None) -> Any:
    """One request and its document; None for a status that is `expected` to come, too. Raises NotTaken, OSError."""
    [answer] = await ask(url, [asked])
    if expected and answer.status in expected:
        return None
    if answer.status // 100 != 2:  # noqa: PLR2004 - 2xx
        raise NotTaken(answer.status, answer.body[:500])
    return answer.document
