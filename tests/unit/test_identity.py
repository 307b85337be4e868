"""Whom a token names, while the issuer hangs or fails: who is known is let in, and nobody waits for another's token."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from shared import identity
from shared.identity import Issuer, Staff
from shared.web.problems import Problem
from tests.waiting import until

KEY, STRANGERS_KEY = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")


class SlowIssuer:
    """An issuer over HTTP that answers when it is let, and how it is told to."""

    def __init__(self) -> None:
        self.reads = 0
        self.works = True
        self.answering = asyncio.Event()
        self.answering.set()
        self.url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1]
        self.reads += asked.endswith(b"openid-configuration")
        await self.answering.wait()
        keys = {"keys": [KEY.as_dict(private=False)]}
        body = json.dumps(keys if asked == b"/keys" else {"jwks_uri": f"{self.url}/keys"}).encode()
        status = b"200 OK" if self.works else b"500 Away"
        writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(body), body))
        await writer.drain()
        writer.close()

    def token(self, subject: str, key: ECKey = KEY) -> str:
        claims = {"iss": self.url, "aud": "releve", "sub": subject, "roles": ["chair"], "exp": time.time() + 600}
        return jwt.encode({"alg": "ES256"}, claims, key)

    def forged(self, subject: str) -> str:
        return self.token(subject, STRANGERS_KEY)


@asynccontextmanager
async def slow_issuer() -> AsyncIterator[SlowIssuer]:
    issuer = SlowIssuer()
    async with await asyncio.start_server(issuer.answer, "127.0.0.1", 0) as server:
        issuer.url = "http://{}:{}".format(*server.sockets[0].getsockname())
        yield issuer
        issuer.answering.set()


@pytest.fixture(autouse=True)
def keys_are_read_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "KEYS_AGAIN_AFTER_S", -1.0)


async def refusal(asking: Issuer, token: str) -> int:
    with pytest.raises(Problem) as refused:
        await asking.staff(token)
    return refused.value.status


async def test_a_forged_token_keeps_nobody_waiting_while_the_issuer_hangs() -> None:
    async with slow_issuer() as issuer:
        asking = Issuer(issuer.url, "releve")
        chair = issuer.token("chair-1")
        assert await asking.staff(chair) == Staff("chair-1", frozenset({"chair"}))
        issuer.answering.clear()
        issuer.works = False
        forged = asyncio.create_task(refusal(asking, issuer.forged("chair-1")))
        await until(lambda: issuer.reads == 2)
        assert await asking.staff(chair) == await asking.staff(issuer.token("chair-1"))
        assert not forged.done()
        issuer.answering.set()
        assert await forged == 503


async def test_one_failed_read_answers_all_who_wait_and_for_a_moment_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "FAILURE_KEPT_S", 3600.0)
    async with slow_issuer() as issuer:
        asking = Issuer(issuer.url, "releve")
        issuer.answering.clear()
        issuer.works = False
        waiting = [asyncio.create_task(refusal(asking, issuer.forged(str(number)))) for number in range(5)]
        await until(lambda: issuer.reads == 1)
        issuer.answering.set()
        assert await asyncio.gather(*waiting) == [503] * 5
        assert (await refusal(asking, issuer.token("chair-1")), issuer.reads) == (503, 1)
        issuer.works = True
        monkeypatch.setattr(identity, "FAILURE_KEPT_S", 0.0)
        assert (await asking.staff(issuer.token("chair-1"))).subject == "chair-1"
        assert issuer.reads == 2


async def test_a_token_of_another_key_does_not_hold_though_the_keys_are_read_again() -> None:
    async with slow_issuer() as issuer:
        asking = Issuer(issuer.url, "releve")
        assert await refusal(asking, issuer.forged("chair-1")) == 401
        assert issuer.reads == 2
