"""Owns the life of one service's process: its roles, its health pages and its end; no business.

`python -m services.funding` runs every role in one process, `--role relay` only that one, `migrate` the migrations.
"""

import argparse
import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import structlog
import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Request
from starlette.middleware.body_limit import RequestBodyLimitMiddleware

from shared.clock import business_now
from shared.config import ServiceSettings
from shared.crashpoints import this_process_is
from shared.db import Database
from shared.health import Health
from shared.identity import Issuer
from shared.logs import set_up_logs
from shared.messaging.broker import Subscriber
from shared.messaging.commands import obey_replays
from shared.messaging.consume import Consumer
from shared.messaging.failures import reason_of, where_of
from shared.messaging.relay import Relay
from shared.messaging.subscriptions import Subscriptions
from shared.messaging.timers import Timer, TimerLoop
from shared.messaging.wake import tell_relay
from shared.tasks import end_tasks
from shared.telemetry import Cause
from shared.watchdog import Watchdog, end_at_the_latest, end_this_process
from shared.web.apidocs import install_docs, introduction
from shared.web.listening import UNTAKEN, listeners_of
from shared.web.middleware import AnswerFailures, HeadAsGet, Observe, RefuseDeclaredSize
from shared.web.problems import MAX_BODY_BYTES, install_problems
from shared.web.wellknown import health_router

if TYPE_CHECKING:
    from shared.web.pages import Pages

log = structlog.get_logger()

COLLECT_AFTER = (100_000, 10, 20)
"""Objects of the youngest generation, and rounds of the younger ones, before the collector looks at a generation."""

ROLES = ("api", "consume", "relay", "timers")


@dataclass(frozen=True)
class Service:
    """What one service is made of. `work` are further loops that run beside its consumers, such as notify's mailer."""

    name: str
    subscriptions: Subscriptions
    about: str = ""
    """What its interface is for and who may ask what, in Markdown: the introduction of `/docs`."""
    settings: type[ServiceSettings] = ServiceSettings
    routers: Sequence[APIRouter] = ()
    pages: "Pages | None" = None
    """What it shows to browsers, refusals included; None for a service that only programs talk to."""
    timers: Sequence[Timer] = ()
    work: Sequence["Callable[[Runtime], Awaitable[None]]"] = ()
    """Each runs for ever in the `consume` role; it is given the runtime and ends only when cancelled."""
    open: "Callable[[Runtime], Awaitable[None]] | None" = None
    """Called once before anything serves, to put what the service needs into `runtime.parts`."""
    letters_unsent: Callable[[Database], Awaitable[int]] | None = None
    consumer: type[Consumer] = Consumer
    """What takes its records: ops has one of its own, which needs a record's place and takes broken ones too."""


@dataclass
class Runtime:
    """One running process of a service."""

    service: Service
    settings: Any
    db: Database
    issuer: Issuer
    roles: frozenset[str] = frozenset(ROLES)
    health: Health = field(default_factory=Health)
    consumers: list[Consumer] = field(default_factory=list)
    parts: dict[str, Any] = field(default_factory=dict)


def make_runtime(service: Service, settings: ServiceSettings, roles: Sequence[str] = ROLES) -> Runtime:
    """A process's parts, not yet running."""
    url = settings.database_url.get_secret_value()
    db = Database(
        url, service.name, settings.pool_size, settings.statement_timeout_s, settings.connect_timeout_s,
        settings.pool_wait_s,
    )  # fmt: skip
    issuer = Issuer(settings.oidc_issuer, settings.oidc_audience)
    runtime = Runtime(service, settings, db, issuer, frozenset(roles))
    if "consume" in roles:
        obey_replays(service.subscriptions, db, runtime.consumers)
        topics = service.subscriptions.topics
        runtime.consumers += [service.consumer(db, service.subscriptions, topic, settings) for topic in topics]
    return runtime


def make_app(runtime: Runtime) -> FastAPI:
    """The HTTP side of a process: the service's routers if it has the `api` role, its health pages always."""
    name = runtime.service.name
    about = introduction(runtime.service.about)
    app = FastAPI(
        title=f"Relevé {name}", description=about, version="1", lifespan=_lifespan(runtime), docs_url=None,
        redoc_url=None,
    )  # fmt: skip
    app.state.runtime = runtime
    app.state.db = runtime.db
    app.state.issuer = runtime.issuer
    app.state.pages = runtime.service.pages
    install_problems(app)
    app.add_middleware(HeadAsGet)
    app.add_middleware(AnswerFailures)
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=MAX_BODY_BYTES)
    app.add_middleware(RefuseDeclaredSize)
    app.add_middleware(Observe, service=name)
    app.include_router(health_router(runtime))
    if "api" in runtime.roles:
        for router in runtime.service.routers:
            app.include_router(router)
    install_docs(app)
    return app


def _lifespan(runtime: Runtime) -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if runtime.service.open is not None:
            await runtime.service.open(runtime)
        watchdog = Watchdog(
            runtime.health, runtime.db, runtime.settings, lambda: end_this_process(runtime.settings.end_within_s)
        )
        tasks = [asyncio.create_task(watchdog.run(), name="watchdog")]
        tasks += [asyncio.create_task(_kept_alive(name, loop), name=name) for name, loop in _loops(runtime)]
        _collect_seldom()
        try:
            yield
        finally:
            gc.unfreeze()
            await end_tasks(tasks, runtime.settings.graceful_s)
            await runtime.db.close()

    return lifespan


def _collect_seldom() -> None:
    """What is here now stays: the collector of cycles need not look at it again, nor at all the rest so often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def _loops(runtime: Runtime) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
    loops: list[tuple[str, Callable[[], Awaitable[None]]]] = []
    if "consume" in runtime.roles:
        subscriber = Subscriber(runtime.consumers, runtime.settings, runtime.service.name)
        runtime.health.watch(subscriber.progress)
        for consumer in runtime.consumers:
            runtime.health.watch(consumer.progress)
            loops.append((f"retry {consumer.name}", consumer.replay_unknown))
        if runtime.consumers:
            loops.append(("consume", subscriber.run))
        loops += [(f"work {number}", _bound(work, runtime)) for number, work in enumerate(runtime.service.work)]
    if "relay" in runtime.roles:
        relay = Relay(runtime.db, runtime.settings)
        runtime.health.watch(relay.progress)
        loops.append(("relay", relay.run))
    if "timers" in runtime.roles and runtime.service.timers:
        timers = TimerLoop(runtime.db, runtime.service.timers, runtime.settings)
        runtime.health.watch(timers.progress)
        loops.append(("timers", timers.run))
    loops.append(("tell relay", lambda: tell_relay(runtime.db)))
    return loops


def _bound(work: Callable[[Runtime], Awaitable[None]], runtime: Runtime) -> Callable[[], Awaitable[None]]:
    return lambda: work(runtime)


async def _kept_alive(name: str, loop: Callable[[], Awaitable[None]]) -> None:
    """Run a loop again when it fails; one that returns has done its work."""
    while True:
        try:
            await loop()
        except Exception as failure:  # noqa: BLE001 - a loop never ends its process; the watchdog does
            where = where_of(failure)
            log.error("service.loop_failed", loop=name, reason=reason_of(failure), where=where)  # noqa: TRY400 - no values
            await asyncio.sleep(1)
        else:
            return


def main(service: Service) -> None:
    """The command line of a service's process."""
    parser = argparse.ArgumentParser(prog=f"python -m services.{service.name}")
    parser.add_argument("command", nargs="?", choices=["run", "migrate"], default="run")
    parser.add_argument("--role", action="append", choices=ROLES, help="run only this role; may be given several times")
    arguments = parser.parse_args()
    settings = service.settings.load(service.name)
    set_up_logs(service.name, settings.log_level)
    this_process_is(service.name)
    if arguments.command == "migrate":
        from shared.migrate import migrate

        migrate(service.name, settings.migration_url, settings.database_url.get_secret_value())
        return
    runtime = make_runtime(service, settings, arguments.role or ROLES)
    config = uvicorn.Config(
        make_app(runtime), host=settings.host, port=settings.port, log_config=None, access_log=False, loop="uvloop",
        timeout_graceful_shutdown=int(settings.graceful_s), server_header=False, backlog=UNTAKEN,
    )  # fmt: skip
    _Server(config, settings.end_within_s).run(listeners_of(config))


class _Server(uvicorn.Server):
    """Ends in order when asked to, and ends all the same when a dependency that is away holds that up."""

    def __init__(self, config: uvicorn.Config, end_within_s: float) -> None:
        super().__init__(config)
        self._end_within_s = end_within_s

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal to end came."""
        end_at_the_latest(self._end_within_s, 128 + sig)
        super().handle_exit(sig, frame)


# Coroutines, though none waits for anything: FastAPI runs a plain function in a thread, which costs a request more than
# all the rest of it.
async def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


async def _db(request: Request) -> Database:
    db: Database = request.app.state.runtime.db
    return db


async def _cause(request: Request) -> Cause:
    cause: Cause = request.state.cause
    return cause


async def _now() -> datetime:
    return business_now()


Running = Annotated[Runtime, Depends(_runtime)]
Db = Annotated[Database, Depends(_db)]
RequestCause = Annotated[Cause, Depends(_cause)]
Now = Annotated[datetime, Depends(_now)]
