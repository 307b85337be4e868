"""Transactions whose task is given up at any moment: what they did is undone, and the next one commits for good."""

import asyncio

from shared.db import Database

STORE = "INSERT INTO sequence_counter (topic, key, value) VALUES ('test', :key, 1)"


async def _store(db: Database, *keys: str) -> None:
    async with db.transaction() as tx:
        for key in keys:
            await tx.execute(STORE, key=key)


async def _stored(db: Database) -> set[str]:
    async with db.transaction() as tx:
        return {row["key"] for row in await tx.fetch_all("SELECT key FROM sequence_counter")}


async def _given_up_after(db: Database, steps: int, key: str) -> bool:
    """Whether a transaction of two rows was given up after so many turns of the loop, before it ended."""
    task = asyncio.create_task(_store(db, f"{key}-first", f"{key}-second"))
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    return isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError)


async def test_after_a_transaction_given_up_at_any_moment_the_next_is_seen_by_all(messaging_database: Database) -> None:
    one_connection = Database(messaging_database.dsn, "test", pool_size=1)
    try:
        for steps in range(60):
            await _given_up_after(one_connection, steps, f"given-up-{steps}")
            await _store(one_connection, f"after-{steps}")
            found = await _stored(messaging_database)
            assert f"after-{steps}" in found
            of_it = {key for key in found if key.startswith(f"given-up-{steps}-")}
            assert len(of_it) in {0, 2}
    finally:
        await one_connection.close()
