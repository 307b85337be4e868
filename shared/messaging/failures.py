"""Owns the judgement of failures: what should happen next with a record whose handling raised; it handles nothing."""

import asyncio
import traceback
from enum import Enum

import asyncpg
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout


class Transient(Exception):
    """Try again later, with growing pauses: the dependency is expected to come back."""


class Permanent(Exception):
    """Trying again cannot help: the record is set aside."""


class Malformed(Permanent):
    """A record that is not an event of the declared language; data: the reason, which never quotes the record."""


class UnknownType(Permanent):
    """An event of a type or version that this program does not know yet; a later version of it may."""


class Verdict(Enum):
    """What to do with a failed batch or record."""

    AGAIN = "again"
    """A dependency is away or a lock was lost: the same batch again, for ever."""
    OURS = "ours"
    """Our own deployment is wrong (missing table, column, right): again, for ever, and not ready."""
    ASIDE = "aside"
    """The record itself cannot be handled: quarantine."""


LONGEST_REASON = 500
# SQLSTATE classes: connection, transaction rollback (deadlock, serialization), resources, operator intervention, the
# system around the server (its files and disks). None of these is a record's fault, nor is a damaged file.
TRANSIENT_CLASSES = ("08", "40", "53", "57", "58")
TRANSIENT_STATES = ("55P03", "25P03", "25P02", "XX001", "XX002")
# Syntax or access rule (missing table, column, right), invalid catalog or schema, authorization, server configuration.
OUR_CLASSES = ("42", "3D", "3F", "28", "F0")
# A connection that is lost, or that the driver finds in a state it cannot use; the latter is no InterfaceError.
LOST = (InterfaceError, asyncpg.InterfaceError, asyncpg.InternalClientError)
GONE = (OSError, TimeoutError, asyncpg.PostgresError, *LOST)
"""Whatever ends a connection that only listens or signals: it is opened again."""


def judge(failure: BaseException) -> Verdict:
    """What a failure asks for. Errors that wrap another are judged by the one from the database driver."""
    if isinstance(failure, Transient | PoolTimeout | TimeoutError | asyncio.TimeoutError | OSError):
        return Verdict.AGAIN
    if isinstance(failure, Permanent):
        return Verdict.ASIDE
    state = sqlstate_of(failure)
    if state is None:
        lost = isinstance(failure, LOST) or (isinstance(failure, DBAPIError) and failure.connection_invalidated)
        return Verdict.AGAIN if lost else Verdict.ASIDE
    if state.startswith(TRANSIENT_CLASSES) or state in TRANSIENT_STATES:
        return Verdict.AGAIN
    return Verdict.OURS if state.startswith(OUR_CLASSES) else Verdict.ASIDE


def sqlstate_of(failure: BaseException | None) -> str | None:
    """The SQLSTATE of a failure or of what it wraps; None if the database said nothing."""
    while failure is not None:
        state = getattr(failure, "sqlstate", None)
        if isinstance(state, str):
            return state
        failure = getattr(failure, "orig", None) or failure.__cause__
    return None


def where_of(failure: BaseException, frames: int = 6) -> list[str]:
    """The last places that a failure came through: a traceback without the values that messages may quote."""
    passed = traceback.extract_tb(failure.__traceback__)[-frames:]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in passed]


def reason_of(failure: BaseException) -> str:
    """A failure in one line for people, without the values that it may quote."""
    if isinstance(failure, Permanent):
        return f"{type(failure).__name__}: {failure}"[:LONGEST_REASON]
    cause = getattr(failure, "orig", None) or failure
    first_line = str(cause).splitlines()[0] if str(cause) else ""
    detail = first_line if sqlstate_of(failure) is None else f"SQLSTATE {sqlstate_of(failure)}"
    return f"{type(cause).__name__}: {detail[:LONGEST_REASON]}" if detail else type(cause).__name__
