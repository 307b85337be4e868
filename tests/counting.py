"""Owns how statements are counted where the driver sends them: transactions begun and ended among them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from shared.db import Database

BEGINNINGS, COMMITS = ("BEGIN", "SAVEPOINT"), ("COMMIT", "RELEASE SAVEPOINT")
OF_THE_DRIVER = ("typeinfo_tree", "set_config('jit'")
"""In what the driver asks and sets once per connection, when it first meets a type."""


@contextmanager
def statements(db: Database) -> Iterator[list[str]]:
    """What a database is sent meanwhile, in order, without what only begins a transaction; a commit is a statement."""
    sent: list[str] = []
    pool = db._engine.sync_engine.pool

    def note(query: Any) -> None:
        if not query.query.startswith(BEGINNINGS) and not any(each in query.query for each in OF_THE_DRIVER):
            sent.append(query.query)

    def taken(connection: Any, *_: Any) -> None:
        connection.driver_connection.add_query_logger(note)

    def given_back(connection: Any, *_: Any) -> None:
        if connection is not None:
            connection.driver_connection.remove_query_logger(note)

    event.listen(pool, "checkout", taken)
    event.listen(pool, "checkin", given_back)
    try:
        yield sent
    finally:
        event.remove(pool, "checkout", taken)
        event.remove(pool, "checkin", given_back)
