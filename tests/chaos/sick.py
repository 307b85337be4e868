"""Intake with a sick consumer: `python -m tests.chaos.sick refused|dead`; all else of the process is well."""

from __future__ import annotations

import asyncio
import sys
from typing import Any, NoReturn

from aiokafka.errors import GroupAuthorizationFailedError

from services.intake.app import service
from shared.messaging import broker
from shared.service import main


async def refused(*_: Any, **__: Any) -> NoReturn:
    """Each poll is refused, as to who has no right: the consumer is begun again and again."""
    raise GroupAuthorizationFailedError("no right")


async def dead(*_: Any, **__: Any) -> None:
    """The poll never returns: the task is there and does nothing."""
    await asyncio.Event().wait()


if __name__ == "__main__":
    sickness = sys.argv.pop()
    broker.next_records = {"refused": refused, "dead": dead}[sickness]  # type: ignore[assignment]
    main(service)
