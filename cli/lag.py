"""Owns `releve lag`: how far each consumer group is behind, by Kafka's own offsets; it changes none."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from cli import watch
from shared.history.lag import Lag, read_lag
from shared.history.waiting import spoken


def lag(
    partitions: Annotated[bool, typer.Option("--partitions", help="A line for each partition that is behind.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One document for machines.")] = False,
    state_dir: watch.StateDir = None,
) -> None:
    """Tell how far each consumer group is behind, in messages and in time. Example: `releve lag --partitions`.

    Exit status: 0 whatever the lag, 1 no answer, 2 wrong use.
    """
    lags = watch.waited(read_lag(watch.running_system(state_dir).kafka))
    now = datetime.now(UTC)
    if as_json:
        watch.print_json({"now": now.isoformat(), "partitions": [each.document(now) for each in lags]})
        return
    typer.echo("\n".join(told(lags, now, partitions=partitions)))


def told(lags: list[Lag], now: datetime, *, partitions: bool) -> list[str]:
    """The groups for people, and the partitions that are behind."""
    by_group: dict[str, list[Lag]] = defaultdict(list)
    for each in lags:
        by_group[each.group].append(each)
    lines = [f"{'group':<34} {'messages':>9}  oldest unread"]
    for group, parts in by_group.items():
        messages = sum(part.messages for part in parts)
        since = min((part.since for part in parts if part.since is not None), default=None)
        count = watch.paint(f"{messages:>9}", "yellow" if messages else "green")
        lines.append(f"{group:<34} {count}  {_age(since, now)}{_note(parts)}")
        behind = [part for part in parts if part.messages] if partitions else []
        lines += [f"    {part.topic}[{part.partition}] {part.messages:>9}  {_age(part.since, now)}" for part in behind]
    return lines


def _age(since: datetime | None, now: datetime) -> str:
    return spoken(max(now - since, timedelta())) if since else "-"


def _note(parts: list[Lag]) -> str:
    """What a group says that has not told Kafka yet how far it has read."""
    if any(part.committed is not None for part in parts):
        return ""
    return "  (it has read nothing yet)" if any(part.messages for part in parts) else "  (nothing to read yet)"
