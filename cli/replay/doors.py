"""Owns how people's requests reach the services: kept connections, tokens, patience while a service restarts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlencode

import httpx
import stamina

from cli.tokens import staff_token
from deploy.local.system import System

PATIENCE_S = 120.0
"""How long a request is repeated while a service is away or restarts."""
AT_ONCE = 8
"""Requests under way at the same time where their order does not matter."""
_AWAY = frozenset({429, 502, 503, 504})
_IN_FLIGHT = "idempotency_in_flight"
_KEY_REUSED = "idempotency_key_reused"

T = TypeVar("T")


class Refused(Exception):
    """A service refused a request of the replay; data: its status, code and sentence."""

    def __init__(self, request: str, status: int, code: str, detail: str) -> None:
        super().__init__(f"{request} was refused: {status} {code} {detail}".strip())
        self.request, self.status, self.code, self.detail = request, status, code, detail


@contextmanager
def about(whom: str) -> Iterator[None]:
    """Tell with a refusal whom it was about, by the name that the data folder gives them."""
    try:
        yield
    except Refused as refused:
        detail = refused.detail
        if refused.code == _KEY_REUSED:
            detail += f" For {whom} this was played here before with other content: use a fresh state folder."
        raise Refused(f"{whom}: {refused.request}", refused.status, refused.code, detail) from None


class _Away(Exception):
    """A service is away for the moment."""


class Doors:
    """The HTTP interfaces of one running system; use as an async context manager."""

    def __init__(self, system: System, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._urls = system.services
        self._issuer = system.issuer
        self._tokens: dict[str, str] = {}
        self._signing_in = asyncio.Lock()
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(30, connect=5), transport=transport, limits=httpx.Limits(max_connections=2 * AT_ONCE)
        )

    async def __aenter__(self) -> Self:
        """Nothing is connected before the first request."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def staff(self, subject: str, service: str, method: str, path: str, body: Any = None) -> Any:
        """A request of a member of staff, with their own token of the issuer. Raises Refused."""
        token = self._tokens.get(subject) or await self._sign_in(subject)
        try:
            return await self.call(service, method, path, token, body)
        except Refused as refused:
            if refused.status != httpx.codes.UNAUTHORIZED:
                raise
            del self._tokens[subject]  # Tokens end by the real clock; a long replay signs in again.
        return await self.call(service, method, path, await self._sign_in(subject), body)

    async def pages(
        self, subject: str | None, service: str, path: str, name: str = "items"
    ) -> AsyncIterator[dict[str, Any]]:
        """Every item of a list, page by page; `name` is the list's field, no subject the public. Raises Refused."""
        following: str | int | None = ""
        while following is not None:
            address = f"{path}{'&' if '?' in path else '?'}{urlencode({'after': following})}" if following else path
            asked = self.staff(subject, service, "GET", address) if subject else self.call(service, "GET", address)
            page = await asked
            for item in page[name]:
                yield item
            following = page["next"]

    async def call(
        self, service: str, method: str, path: str, token: str | None = None, body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:  # fmt: skip
        """One request, repeated while the service is away; the answer's JSON. Raises Refused."""
        sent = {**(headers or {}), **({"Authorization": f"Bearer {token}"} if token else {})}
        async for attempt in stamina.retry_context(
            on=(_Away, httpx.TransportError), attempts=None, timeout=PATIENCE_S, wait_initial=0.05, wait_max=1.0
        ):
            with attempt:
                answer = await self._http.request(method, self._urls[service] + path, json=body, headers=sent)
                return _read(f"{method} {service} {path}", answer)
        raise AssertionError("a retry ends with an answer or an error")

    async def _sign_in(self, subject: str) -> str:
        async with self._signing_in:
            if subject not in self._tokens:
                self._tokens[subject] = await asyncio.to_thread(staff_token, self._issuer, subject)
            return self._tokens[subject]


async def together(work: Callable[[T], Awaitable[None]], items: Iterable[T]) -> None:
    """Do the same for all, AT_ONCE at a time; the first failure ends it."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(item: T) -> None:
        async with places:
            await work(item)

    async with asyncio.TaskGroup() as group:
        for item in items:
            group.create_task(one(item))


def _read(request: str, answer: httpx.Response) -> Any:
    if answer.is_success:
        return answer.json() if answer.content else None
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    code = str(problem.get("code", ""))
    if answer.status_code in _AWAY or code == _IN_FLIGHT:
        raise _Away(f"{request}: {answer.status_code} {code}")
    wrong = "; ".join(f"{each['field']}: {each['message']}" for each in problem.get("errors", []))
    raise Refused(request, answer.status_code, code, f"{problem.get('detail', '')} {wrong}".strip())
