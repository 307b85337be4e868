"""Background tasks end, also those that swallow a cancellation."""

import asyncio

from shared.tasks import end_tasks


async def test_a_task_that_swallows_its_first_cancellation_is_ended_all_the_same() -> None:
    swallowed = []

    async def stubborn() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed.append(True)
                if len(swallowed) == 2:
                    raise

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await end_tasks([task], again_after_s=0.01)
    assert task.cancelled()
    assert len(swallowed) == 2


async def test_a_failed_task_is_ended_without_noise() -> None:
    async def fails() -> None:
        raise LookupError

    async with asyncio.timeout(10):
        await end_tasks([asyncio.create_task(fails())])
