"""Owns the load of submissions: a process with kept connections that each send the next request when answered.

It shares no code with the product. Requests are made before the clock starts; one JSON document tells the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import Counter, deque
from collections.abc import Sequence
from typing import cast
from urllib.parse import urlsplit

import uvloop

from tests.dossiers import dossier


class Connection(asyncio.Protocol):
    """One kept connection: a request at a time, each timed from its first byte out to its last byte in."""

    def __init__(self, waiting: deque[bytes], times_s: list[float], statuses: Counter[int]) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting, self._times_s, self._statuses = waiting, times_s, statuses
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin at once."""
        self._transport = cast("asyncio.Transport", transport)
        self._next()

    def data_received(self, data: bytes) -> None:
        """Count an answer when it is whole, and send the next request."""
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        if len(body) < int(length.partition(b":")[2]):
            return
        self._times_s.append(time.perf_counter() - self._sent_at)
        self._statuses[int(head[9:12])] += 1
        self._received = b""
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing closes it but this side."""
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server closed the connection"))

    def _next(self) -> None:
        assert self._transport is not None
        if not self._waiting:
            self.done.set_result(None)
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(self._waiting.popleft())


def requests(url: str, path: str, numbers: range) -> deque[bytes]:
    """Whole requests, ready to be written."""
    host = urlsplit(url).netloc
    made: deque[bytes] = deque()
    for number in numbers:
        body = json.dumps(dossier(number), ensure_ascii=False).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            f"Idempotency-Key: key-{number}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        made.append(head.encode() + body)
    return made


async def load(urls: Sequence[str], path: str, connections: int, numbers: range) -> dict[str, object]:
    """Send them all and tell `per_s`, `p50_ms`, `p99_ms`, `seconds` and the statuses.

    The connections are spread over the addresses one by one, as a load balancer does.
    """
    waiting = requests(urls[0], path, numbers)
    times_s: list[float] = []
    statuses: Counter[int] = Counter()
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    opened = []
    for number in range(connections):
        host, port = urlsplit(urls[number % len(urls)]).netloc.split(":")
        made = loop.create_connection(lambda: Connection(waiting, times_s, statuses), host, int(port))
        opened.append(await made)
    await asyncio.gather(*(protocol.done for _, protocol in opened))
    seconds = time.perf_counter() - started
    times_s.sort()
    return {
        "per_s": len(times_s) / seconds, "seconds": seconds, "statuses": statuses,
        "p50_ms": times_s[len(times_s) // 2] * 1000, "p99_ms": times_s[len(times_s) * 99 // 100] * 1000,
    }  # fmt: skip


def main() -> None:
    """Tell the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--url", required=True, action="append", help="several share the load")
    parser.add_argument("--path", required=True)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--first", type=int, default=0, help="the number of the first dossier")
    parser.add_argument("--count", type=int, required=True)
    given = parser.parse_args()
    numbers = range(given.first, given.first + given.count)
    print(json.dumps(uvloop.run(load(given.url, given.path, given.connections, numbers))))


if __name__ == "__main__":
    main()
