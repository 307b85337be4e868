"""Owns what the environment names instead of leaving it to be started: where it is, and that it answers before use."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from deploy.local import kafka, postgres
from deploy.local.choice import VARIABLES, Need
from deploy.local.dependencies import discovers, mail_listens
from deploy.local.reach import reachable, shown
from shared.events.topics import SERVICES

_PATIENCE_S = 10.0
"""What was started at the same moment as this launcher, by whatever runs it, may take a while."""
_AGAIN_AFTER_S = 0.2


class NotUsable(Exception):
    """Something that the environment names cannot be used; the message is one sentence that names the variable."""


def addresses(environment: Mapping[str, str], needs: list[Need]) -> dict[str, object]:
    """The parts of Addresses that the environment names."""
    found: dict[str, object] = {}
    if Need.KAFKA in needs:
        found["kafka"] = environment["RELEVE_KAFKA_BOOTSTRAP_SERVERS"]
    if Need.MAIL in needs:
        found["smtp"] = environment["RELEVE_SMTP_URL"]
    if Need.IDENTITY in needs:
        found["issuer"] = environment["RELEVE_OIDC_ISSUER"]
    if Need.POSTGRES in needs:
        runtime = {name: environment[f"RELEVE_{name.upper()}_DATABASE_URL"] for name in SERVICES}
        owner = {name: environment.get(owner_variable(name)) for name in SERVICES}
        found |= {"databases": runtime, "owners": {name: owner[name] or runtime[name] for name in SERVICES}}
    return found


async def check(
    environment: Mapping[str, str], needs: list[Need], tell: Callable[[str], None], patience_s: float = _PATIENCE_S
) -> None:
    """Wait a little for the broker and the databases that are named, since nothing starts without them.

    Mail and identity may come later: services wait for them, and `tell` is given a line. Raises NotUsable.
    """
    looks = []
    if Need.KAFKA in needs:
        looks.append(check_broker(environment["RELEVE_KAFKA_BOOTSTRAP_SERVERS"], patience_s))
    if Need.POSTGRES in needs:
        variables = [*VARIABLES[Need.POSTGRES], *(owner_variable(name) for name in SERVICES)]
        looks += [check_database(each, environment[each], patience_s) for each in variables if environment.get(each)]
    for failure in await asyncio.gather(*looks, return_exceptions=True):
        if isinstance(failure, BaseException):
            raise failure
    if Need.MAIL in needs and not await mail_listens(environment["RELEVE_SMTP_URL"]):
        server = shown(environment["RELEVE_SMTP_URL"])
        tell(f"RELEVE_SMTP_URL names {server}, where nobody answers: letters wait until it does")
    if Need.IDENTITY in needs and not await discovers(reachable(environment["RELEVE_OIDC_ISSUER"])):
        issuer = environment["RELEVE_OIDC_ISSUER"]
        tell(f"RELEVE_OIDC_ISSUER names {issuer}, where nobody answers: staff are turned away until it does")


async def check_broker(bootstrap: str, patience_s: float = _PATIENCE_S) -> None:
    """Raises NotUsable when no broker answers there."""

    async def problem() -> str | None:
        return None if await kafka.answers(bootstrap) else "no broker answers there"

    await _patiently(problem, f"Kafka is named ({bootstrap}), but", patience_s)


async def check_database(variable: str, url: str, patience_s: float = _PATIENCE_S) -> None:
    """Raises NotUsable when the server refuses, or none answers there."""
    await _patiently(lambda: postgres.refusal(url), f"{variable} names a database that cannot be used:", patience_s)


async def _patiently(problem: Callable[[], Awaitable[str | None]], sentence: str, patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    while (found := await problem()) is not None:
        if time.monotonic() > deadline:
            raise NotUsable(f"{sentence} {found}.")
        await asyncio.sleep(_AGAIN_AFTER_S)


def owner_variable(service: str) -> str:
    """What names the address by which a service's migrations run, where that is another."""
    return f"RELEVE_{service.upper()}_OWNER_DATABASE_URL"
