"""The judgement of failures: what is tried again, what is ours to mend, what is set aside."""

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError

from shared.messaging.failures import Malformed, Transient, Verdict, judge, reason_of, where_of

JUDGED = [
    (Transient("away"), Verdict.AGAIN),
    (ConnectionResetError(), Verdict.AGAIN),
    (TimeoutError(), Verdict.AGAIN),
    (asyncpg.InterfaceError("connection is closed"), Verdict.AGAIN),
    (asyncpg.InternalClientError("not connected"), Verdict.AGAIN),
    (asyncpg.DeadlockDetectedError("deadlock"), Verdict.AGAIN),
    (asyncpg.TooManyConnectionsError("full"), Verdict.AGAIN),
    (asyncpg.QueryCanceledError("statement timeout"), Verdict.AGAIN),
    (asyncpg.AdminShutdownError("restart"), Verdict.AGAIN),
    (asyncpg.PostgresIOError("disk"), Verdict.AGAIN),
    (asyncpg.DataCorruptedError("page"), Verdict.AGAIN),
    (asyncpg.ConfigFileError("setting"), Verdict.OURS),
    (asyncpg.UndefinedTableError("no table"), Verdict.OURS),
    (asyncpg.InsufficientPrivilegeError("no right"), Verdict.OURS),
    (asyncpg.CheckViolationError("below zero"), Verdict.ASIDE),
    (asyncpg.InternalServerError("one statement's data may bring it about"), Verdict.ASIDE),
    (Malformed("no key"), Verdict.ASIDE),
    (ZeroDivisionError(), Verdict.ASIDE),
]


@pytest.mark.parametrize(("failure", "verdict"), JUDGED, ids=lambda each: type(each).__name__)
def test_each_failure_asks_for_what_should_happen_next(failure: Exception, verdict: Verdict) -> None:
    assert judge(failure) is verdict
    if isinstance(failure, asyncpg.PostgresError):
        wrapped = DBAPIError("SELECT 1", {}, failure)
        assert judge(wrapped) is verdict


def test_a_reason_never_quotes_what_the_database_was_given() -> None:
    failure = DBAPIError("INSERT", {"name": "Ada"}, asyncpg.CheckViolationError('row contains ("Ada")'))
    assert "Ada" not in reason_of(failure)


def _refused() -> None:
    raise asyncpg.CheckViolationError('row contains ("Ada")')


def test_where_a_failure_came_from_is_told_without_what_it_says() -> None:
    with pytest.raises(asyncpg.CheckViolationError) as raised:
        _refused()
    told = where_of(raised.value)
    assert told[-1].endswith("_refused")
    assert "Ada" not in "".join(told)
