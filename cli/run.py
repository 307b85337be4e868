"""Owns the words of `releve up`, `down`, `migrate` and `topics`; the launcher in `deploy/local` does the work."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from deploy.local import cache, choice, docker, named, prerequisites, process, run, supervise, timekeeping
from deploy.local.launcher import Options
from deploy.local.reach import shown
from deploy.local.state import AlreadyRunning, StateFolder, StateUnusable
from deploy.local.system import NoSystem, System
from shared.config import ServiceSettings, Settings
from shared.events.topics import SERVICES
from shared.messaging.administer import create_topics
from shared.messaging.failures import Transient
from shared.migrate import NotMigrated, migrate

StateDir = Annotated[
    Path | None, typer.Option("--state-dir", help="Its state folder; default $RELEVE_STATE_DIR or .releve.")
]

Provider = Literal["docker", "local", "servers"]

EXPECTED = (
    prerequisites.Missing, cache.JarsNotBrought, choice.ChoiceImpossible, docker.ComposeFailed, supervise.DidNotStart,
    process.NotPrepared, run.UpFailed, named.NotUsable, timekeeping.ClockRefused, StateUnusable, NotMigrated,
    Transient, NoSystem, OSError, subprocess.CalledProcessError,
)  # fmt: skip
"""Failures whose own message is the whole answer; anything else is a mistake of ours and keeps its traceback."""

topics = typer.Typer(help="The declared topics of the broker.", no_args_is_help=True)


def tell(line: str) -> None:
    """A line of progress, beside the answer."""
    typer.echo(line, err=True)


def up(
    detach: Annotated[bool, typer.Option("--detach", help="Come back when it serves; `releve down` stops it.")] = False,
    clock: Annotated[Path | None, typer.Option(help="A simulated clock's file (one ISO 8601 instant).")] = None,
    simulated: Annotated[bool, typer.Option("--simulated", help="A simulated clock in the folder.")] = False,
    provider: Annotated[
        Provider | None,
        typer.Option(help="For what the environment leaves open; servers: Docker for Kafka and PostgreSQL only."),
    ] = None,
    state_dir: StateDir = None,
    detached_child: Annotated[bool, typer.Option("--detached-child", hidden=True)] = False,
) -> None:
    """Start the whole system. Example: `releve up --detach --simulated`.

    A state folder keeps the clock that its data were made at. Exit status: 0 it served, or runs already, 1 it did not
    start, 2 wrong use.
    """
    state, options = StateFolder.at(state_dir), Options(clock, simulated, provider, detached_child)
    try:
        if detach:
            describe(run.up_detached(state, options, tell))
        else:
            run.up(state, options, tell, _say_nothing if detached_child else describe)
    except AlreadyRunning:
        _say_what_runs(state, options)
    except (ExceptionGroup, *EXPECTED) as failure:
        fail(failure)


def _say_nothing(_: System) -> None:
    """Whoever started this launcher beside itself says where its system is reached."""


def _say_what_runs(state: StateFolder, options: Options) -> None:
    system = System.saved(state)
    if system is None:
        typer.echo(f"Another launcher is starting a system in {state.path}.", err=True)
        raise typer.Exit(1)
    typer.echo("It runs already.")
    describe(system)
    wanted = options.clock_file(state)
    if wanted not in (None, system.clock_file):
        typer.echo(f"It does not run on the clock {wanted}: `releve down` first.", err=True)
        raise typer.Exit(1)


def fail(failure: BaseException) -> NoReturn:
    """End with the first failure's own sentence; one that is not EXPECTED is raised again."""
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    if not isinstance(failure, EXPECTED):
        raise failure
    typer.echo(_sentence(failure), err=True)
    raise typer.Exit(1)


def _sentence(failure: BaseException) -> str:
    if isinstance(failure, subprocess.CalledProcessError) and failure.stderr:
        return f"{failure}: {failure.stderr}"
    if isinstance(failure, OSError) and failure.filename is not None:
        return f"{failure.filename} cannot be read or written: {failure.strerror}."
    return str(failure)


def describe(system: System) -> None:
    """Print where a system is reached."""
    clock = f"simulated clock {system.clock_file}" if system.clock_file else "real clock"
    typer.echo(f"Relevé runs ({system.provider}, {clock}); state in {system.state_dir}")
    for name, url in system.services.items():
        typer.echo(f"  {name:<8} {url}")
    needs = {"kafka": system.kafka, "identity": system.issuer, "mail": system.mail_folder or shown(system.smtp)}
    for name, address in needs.items():
        typer.echo(f"  {name:<8} {address}")


def down(state_dir: StateDir = None) -> None:
    """Stop the system of a state folder, also what a crash left. Example: `releve down`.

    Exit status: 0 nothing runs there any more, 1 a launcher does not end, 2 wrong use.
    """
    state = StateFolder.at(state_dir)
    try:
        found = run.down(state, tell)
    except AlreadyRunning:
        typer.echo(f"A launcher that does not end holds {state.path}.", err=True)
        raise typer.Exit(1) from None
    except EXPECTED as failure:
        fail(failure)
    typer.echo("Stopped." if found else f"Nothing runs in {state.path}.")


def migrate_databases(
    services: Annotated[list[str] | None, typer.Argument(help="Which services; all by default.")] = None,
) -> None:
    """Bring the databases that the environment names to the newest schema. Example: `releve migrate funding`.

    Exit status: 0 all are at the newest, 1 one is not, or no answer, 2 wrong use.
    """
    for service in services or SERVICES:
        if service not in SERVICES:
            raise typer.BadParameter(f"{service} is none of {', '.join(SERVICES)}")
        variable = f"RELEVE_{service.upper()}_DATABASE_URL"
        settings = ServiceSettings.load(service)
        runtime = settings.database_url.get_secret_value()
        if not runtime:
            raise typer.BadParameter(f"{variable} is not set; `releve up` migrates what it starts itself")
        try:
            used = named.owner_variable(service) if settings.owner_database_url else variable
            asyncio.run(named.check_database(used, settings.migration_url))
            migrate(service, settings.migration_url, runtime)
        except EXPECTED as failure:
            fail(failure)
        typer.echo(f"{service}: migrated")


@topics.command("create")
def create() -> None:
    """Create the declared topics that are missing. Example: `releve topics create`.

    Exit status: 0 all are there, 1 no answer, 2 wrong use.
    """
    settings = Settings()
    bootstrap = settings.kafka_bootstrap_servers
    try:
        if "RELEVE_KAFKA_BOOTSTRAP_SERVERS" not in os.environ:
            bootstrap = System.current().kafka
        asyncio.run(named.check_broker(bootstrap))
        created = asyncio.run(create_topics(bootstrap, settings.kafka_replication_factor))
    except EXPECTED as failure:
        fail(failure)
    typer.echo(f"created: {', '.join(created)}" if created else "all declared topics are there")
