"""With its database away, no address of any service answers 500: 503 with Retry-After, or what needs no database."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from deploy.local.ports import choose_ports
from shared.events.topics import SERVICES
from shared.identity import Staff
from shared.ids import new_id
from shared.service import make_app, make_runtime
from tests.builders_intake import call_document, submission
from tests.proxy import proxy_of

APPLICATION = new_id()
PLACES = {"call_id": "innovation-2021", "round_id": "innovation-2021-r1", "named": "INNO-2021-0001"}
ROLES = frozenset({"reviewer", "chair", "officer", "support", "operator", "administrator"})
FRUITLESS = {200, 303, 401, 403, 404, 422, 503}
"""What needs no look into the database is answered as ever; all else is 503."""


def body_of(path: str) -> Any:
    bodies = {
        "withdraw": {"reason": "why"}, "dismiss": {"reason": "why"}, "decision": {"proposal": 1},
        "innovation-2021": call_document(), "proposal": {"moves": []},
    }  # fmt: skip
    if path.endswith(f"{PLACES['call_id']}/applications"):
        return submission()
    return bodies.get(path.rpartition("/")[2], {})


class Anybody:
    """Stands for the issuer: every token is somebody's who may do everything."""

    async def staff(self, token: str) -> Staff:
        return Staff("somebody", ROLES)


def routes_of(router: Any) -> Iterator[APIRoute]:
    """Every route, those of included routers too."""
    for route in router.routes:
        if isinstance(route, APIRoute):
            yield route
        elif hasattr(route, "original_router"):
            yield from routes_of(route.original_router)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("how", ["refuses", "resets"])
async def test_no_address_answers_500(service: str, how: str) -> None:
    made = import_module(f"services.{service}.app").service
    nobody = choose_ports(["nobody"])["nobody"]
    async with proxy_of(f"tcp://127.0.0.1:{nobody}") as proxy:
        proxy.refuse()
        port = proxy.port if how == "resets" else nobody
        settings = made.settings(database_url=f"postgresql://nobody@127.0.0.1:{port}/none")
        runtime = make_runtime(made, settings, ["api"])
        app = make_app(runtime)
        app.state.issuer = Anybody()
        if made.open is not None:
            await made.open(runtime)
        token = runtime.parts["desk"].access.token(APPLICATION, 1) if service == "intake" else "somebody"
        headers = {"Idempotency-Key": "k", "Cookie": "releve_operator=x"}
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        answered: dict[str, int] = {}
        async with httpx.AsyncClient(transport=transport, base_url="http://releve.test", headers=headers) as client:
            for route in (route for router in made.routers for route in routes_of(router)):
                path = re.sub(r"{(\w+)(:\w+)?}", lambda name: PLACES.get(name[1], APPLICATION), route.path)
                bearer = token if "/applications/" in path else "somebody"
                for method in sorted(route.methods):
                    async with asyncio.timeout(20):
                        answer = await client.request(
                            method, path, headers={"Authorization": f"Bearer {bearer}"},
                            json=body_of(path) if method in {"POST", "PUT"} else None,
                        )  # fmt: skip
                    answered[f"{method} {route.path}"] = answer.status_code
                    if answer.status_code == 503:
                        assert int(answer.headers["retry-after"]) > 0
        await runtime.db.close()
        assert {address: status for address, status in answered.items() if status not in FRUITLESS} == {}
        assert 503 in answered.values()
