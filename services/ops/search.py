"""Owns the statement that finds what somebody asks of the index: its conditions are those that were asked for.

Every other statement is fixed and stands as SQL in `services/ops/store.py`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, BigInteger, ColumnElement, DateTime, Text, any_, func, literal, or_
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.sql.expression import SelectOfScalar

from shared.db import Row, Transaction


class Indexed(SQLModel, table=True):
    """One row of the index, as far as it is shown; the table is made by the migrations."""

    __tablename__ = "event"

    id: int = Field(primary_key=True, sa_type=BigInteger)
    topic: str = Field(sa_type=Text)
    partition: int
    offset: int = Field(sa_type=BigInteger)
    key: str = Field(sa_type=Text)
    type: str = Field(sa_type=Text)
    event_id: str = Field(sa_type=Text)
    sequence: int | None = Field(sa_type=BigInteger)
    causation_id: str = Field(sa_type=Text)
    time: datetime | None = Field(sa_type=DateTime(timezone=True))
    recorded_at: datetime = Field(sa_type=DateTime(timezone=True))
    problem: str | None = Field(sa_type=Text)
    headers: str = Field(sa_type=Text)
    payload: str | None = Field(sa_type=Text)


@dataclass(frozen=True, slots=True)
class Filters:
    """Which rows somebody wants to see; empty means all. Types are full names such as `releve.GrantAwarded.v1`."""

    topics: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None


async def matching(tx: Transaction, filters: Filters, after: int, upto: int, most: int) -> Sequence[Row]:
    """Rows with `after` < id <= `upto` that the filters want, in the order of ids."""
    return await tx.select(_wanted(filters, after, upto).order_by(col(Indexed.id)).limit(most))


async def latest(tx: Transaction, filters: Filters, upto: int, within: int, most: int) -> Sequence[Row]:
    """The newest rows up to an id that the filters want, the newest first, sought among the last `within` rows."""
    newest_first = _wanted(filters, max(upto - within, 0), upto).order_by(col(Indexed.id).desc())
    return await tx.select(newest_first.limit(most))


def _wanted(filters: Filters, after: int, upto: int) -> SelectOfScalar[Indexed]:
    within = (col(Indexed.id) > after, col(Indexed.id) <= upto)
    return select(Indexed).where(*within, *_conditions(filters))


def _conditions(filters: Filters) -> Iterator[ColumnElement[bool]]:
    for column, wanted in ((Indexed.topic, filters.topics), (Indexed.type, filters.types), (Indexed.key, filters.keys)):
        if wanted:
            yield _one_of(col(column), wanted)
    happened = func.coalesce(col(Indexed.time), col(Indexed.recorded_at))
    if filters.since is not None:
        yield happened >= filters.since
    if filters.until is not None:
        yield happened <= filters.until
    if filters.text:  # sought in what people see of a row: payload, headers, and why it cannot be read
        seen = (Indexed.payload, Indexed.headers, Indexed.problem)
        yield or_(*(col(each).icontains(filters.text, autoescape=True) for each in seen))


def _one_of(column: Any, wanted: Sequence[str]) -> ColumnElement[bool]:
    found: ColumnElement[bool] = column == any_(literal(list(wanted), ARRAY(Text)))
    return found
