"""Owns a rush of applicants: each comes once, at its own moment, and sends the same again until it is taken or refused.

A process that shares no code with the product. A try is a connection of its own. Who is told to come back waits for as
long as `Retry-After` says, and comes with the same key and body, until the plan's longest time is over: then the rush
has failed. Its plan comes on the input, what each applicant saw goes to the output; both are JSON.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import uvloop

from benchmarks.load import requests

COME_BACK = (0, 409, 503)
"""No answer at all, a first request that is not finished, and too many at once: each asks for the same again."""
UNANSWERED_AGAIN_S = 1.0
ANSWER_WITHIN_S, LONGEST_S = 60.0, 180.0
"""How long a try may wait for its answer, and everybody for the last word after the last one came."""
ENDED_WITHIN_S = 20.0
PREPARE_S = 6.0
"""How long after its start the first may come: the requests are made before."""


@dataclass(frozen=True, slots=True)
class Try:
    """One request. Times are of the clock that the servers read too; `status` 0 is a connection without an answer."""

    sent: float
    """Before its first byte was written: the server cannot have had it earlier."""
    answered: float
    status: int
    code: str = ""
    retry_after_s: int | None = None


@dataclass(slots=True)
class Applicant:
    """One applicant's tries in their order, and the document of the last answer."""

    number: int
    tries: list[Try] = field(default_factory=list)
    document: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Its idempotency key."""
        return f"key-{self.number}"

    @property
    def taken(self) -> bool:
        """Whether it was told that its application is stored."""
        return self.tries[-1].status == 201  # noqa: PLR2004 - HTTP's own numbers


@dataclass(frozen=True, slots=True)
class Plan:
    """Who comes when (`moments` by the applicant's number, seconds since the epoch), where to, for how long at most."""

    urls: Sequence[str]
    path: str
    moments: Mapping[int, float]
    longest_s: float = LONGEST_S

    @property
    def ends(self) -> float:
        """When all must have been taken or refused, seconds since the epoch."""
        return max(self.moments.values()) + self.longest_s


class _Exchange(asyncio.Protocol):
    """One request and its answer, on one connection."""

    def __init__(self, request: bytes) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.sent = 0.0
        self._request = request
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send at once."""
        self._transport, self.sent = cast("asyncio.Transport", transport), time.time()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """The server closes after the answer."""
        self._received += data

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's form
        """The answer is whole, or there is none."""
        if not self.answer.done():
            self.answer.set_result(self._received)

    def close(self) -> None:
        """Whether it was answered or not, nothing is left open."""
        if self._transport is not None:
            self._transport.abort()


async def rush(plan: Plan) -> list[Applicant]:
    """Let them all come, and tell what each saw. Raises RuntimeError if one is still coming back at the end."""
    ready = dict(zip(plan.moments, _requests(plan), strict=True))
    late_s = time.time() - min(plan.moments.values())
    if late_s > 0:
        raise RuntimeError(f"the requests were made {late_s:.1f} s after the first was to be sent")
    applicants = {number: Applicant(number) for number in ready}
    try:
        async with asyncio.timeout(plan.ends - time.time()):
            await asyncio.gather(*(_apply(plan, applicants[number], request) for number, request in ready.items()))
    except TimeoutError:
        left = sum(not each.tries or each.tries[-1].status in COME_BACK for each in applicants.values())
        raise RuntimeError(
            f"{left} were neither taken nor refused {plan.longest_s:g} s after the last one came"
        ) from None
    return list(applicants.values())


def _requests(plan: Plan) -> list[bytes]:
    made = []
    for number in plan.moments:
        [request] = requests(plan.urls[0], plan.path, range(number, number + 1))
        made.append(request.replace(b"\r\nHost:", b"\r\nConnection: close\r\nHost:", 1))
    return made


async def _apply(plan: Plan, applicant: Applicant, request: bytes) -> None:
    await asyncio.sleep(plan.moments[applicant.number] - time.time())
    while True:
        # As a load balancer spreads them: the next try may go to another server.
        url = plan.urls[(applicant.number + len(applicant.tries)) % len(plan.urls)]
        tried, applicant.document = await _tried(url, request)
        applicant.tries.append(tried)
        if tried.status not in COME_BACK:
            return
        await asyncio.sleep(UNANSWERED_AGAIN_S if tried.retry_after_s is None else tried.retry_after_s)


async def _tried(url: str, request: bytes) -> tuple[Try, Mapping[str, Any]]:
    host, port = urlsplit(url).netloc.split(":")
    exchange, began = _Exchange(request), time.time()
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            await asyncio.get_running_loop().create_connection(lambda: exchange, host, int(port))
            head, _, body = (await exchange.answer).partition(b"\r\n\r\n")
        document = json.loads(body)
        headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        retry_after = headers.get(b"retry-after")
        tried = Try(
            exchange.sent, time.time(), int(head[9:12]), document.get("code", ""),
            None if retry_after is None else int(retry_after),
        )  # fmt: skip
    except (OSError, ValueError):  # refused, cut off, or cut short
        return Try(exchange.sent or began, time.time(), 0), {}
    finally:
        exchange.close()
    return tried, document


async def rushed(plan: Plan) -> list[Applicant]:
    """The same as a process of its own. Raises RuntimeError, TimeoutError if it does not end by itself."""
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.rush", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(plan.ends - time.time() + ENDED_WITHIN_S):
            said, _ = await running.communicate(json.dumps(asdict(plan)).encode())
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    if running.returncode != 0:
        raise RuntimeError("the rush ended before it was over")
    return [
        Applicant(each["number"], [Try(**one) for one in each["tries"]], each["document"])
        for each in json.loads(said)
    ]  # fmt: skip


def main() -> None:
    """A plan in, what each applicant saw out."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    given = json.load(sys.stdin)
    moments = {int(number): at for number, at in given["moments"].items()}
    plan = Plan(given["urls"], given["path"], moments, given["longest_s"])
    print(json.dumps([asdict(each) for each in uvloop.run(rush(plan))]))


if __name__ == "__main__":
    main()
