"""Owns how tests wait: for a condition, until a deadline; never for a while."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable

_LOOK_EVERY_S = 0.02


async def until(holds: Callable[[], bool | Awaitable[bool]], within_s: float = 60) -> None:
    """Wait until a condition holds. Raises TimeoutError."""
    async with asyncio.timeout(within_s):
        while True:
            answer = holds()
            if await answer if inspect.isawaitable(answer) else answer:
                return
            await asyncio.sleep(_LOOK_EVERY_S)
