"""Owns how background tasks end: cancelled until each has ended; it starts none.

Libraries swallow a cancellation that comes together with what they wait for: `asyncio.wait_for` does before Python
3.12. A task that was cancelled once may go on for ever, and with it the process that waits for it. So this code uses
`asyncio.timeout`, and ends tasks here.
"""

import asyncio
from collections.abc import Collection
from typing import Any


async def end_tasks(tasks: "Collection[asyncio.Task[Any]]", again_after_s: float = 5) -> None:
    """Cancel tasks and wait until all have ended, whatever with; one that goes on is cancelled again."""
    alive = {task for task in tasks if not task.done()}
    while alive:
        for task in alive:
            task.cancel()
        _, alive = await asyncio.wait(alive, timeout=again_after_s)
    await asyncio.gather(*tasks, return_exceptions=True)
