"""Owns what must hold of all calls' money whatever was raced or repeated; says in sentences what does not."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.builders_funding import Funding, recomputed_by_entry

ACCOUNTS = ("available", "reserved", "committed")
LEDGER = """
SELECT call_id, number, kind, debit, credit, amount_eur, CAST(grant_id AS text) AS grant_id FROM ledger_entry
ORDER BY call_id, number
"""
BALANCES = "SELECT call_id, last_entry, available_eur, reserved_eur, committed_eur FROM balance ORDER BY call_id"
HELD = """
SELECT call_id,
    COALESCE(sum(amount_eur) FILTER (WHERE state IN ('awarded', 'accepted')), 0) AS reserved,
    COALESCE(sum(amount_eur) FILTER (WHERE state IN ('committed', 'started', 'completed')), 0) AS committed
FROM award GROUP BY call_id
"""
HELD_BY_WITHDRAWN = """
SELECT call_id, state FROM award JOIN application USING (application_id, call_id)
WHERE withdrawn_at IS NOT NULL AND released_at IS NULL AND state <> 'completed'
"""
Row = Mapping[str, Any]


async def discrepancies(funding: Funding) -> list[str]:
    """Every way in which the events, the ledger, the balances and the grants of a database do not tell the same."""
    said: dict[str, list[Any]] = defaultdict(list)
    for event in await funding.events():
        said[event.call_id].append(event)
    written: dict[str, list[Row]] = defaultdict(list)
    for row in await funding.rows(LEDGER):
        written[row["call_id"]].append(row)
    held = {row["call_id"]: (int(row["reserved"]), int(row["committed"])) for row in await funding.rows(HELD)}
    found = [
        f"{balance['call_id']}: {apart}"
        for balance in await funding.rows(BALANCES)
        for apart in _of_call(balance, written, said, held)
    ]
    found += [
        f"{row['call_id']}: who withdrew still holds a grant that is {row['state']}"
        for row in await funding.rows(HELD_BY_WITHDRAWN)
    ]
    found += [f"set aside: {row['reason']}" for row in await funding.rows("SELECT reason FROM dead_letter")]
    return found


def _of_call(
    balance: Row, written: Mapping[str, list[Row]], said: Mapping[str, list[Any]], held: Mapping[str, tuple[int, int]]
) -> Iterator[str]:
    call_id = balance["call_id"]
    entries, accounts = written[call_id], tuple(balance[f"{name}_eur"] for name in ACCOUNTS)
    kept = after_each_entry(entries)
    yield from _of_ledger(entries, kept)
    try:
        told = recomputed_by_entry(said[call_id])
    except AssertionError as wrong:
        yield f"the events alone do not tell the balance: {wrong}"
    else:
        if told != kept:
            apart = next((n for n, pair in enumerate(zip(told, kept, strict=False)) if pair[0] != pair[1]), len(told))
            yield f"events and ledger part at entry {apart}"
    if (balance["last_entry"], accounts) != (len(entries), kept[-1]):
        yield f"the balance {accounts} is not the ledger's {kept[-1]}"
    if accounts[1:] != held.get(call_id, (0, 0)):
        yield f"the grants hold {held.get(call_id)}, the accounts say {accounts[1:]}"


def _of_ledger(entries: Sequence[Row], kept: Sequence[tuple[int, ...]]) -> Iterator[str]:
    if [row["number"] for row in entries] != list(range(1, len(entries) + 1)):
        yield "its entries are not 1, 2, 3 …"
    for number, accounts in enumerate(kept):
        if min(accounts) < 0:
            yield f"after entry {number} the accounts are {accounts}"
    times = Counter((row["grant_id"], row["kind"]) for row in entries if row["grant_id"])
    for (grant, kind), count in times.items():
        if count > 1:
            yield f"the grant {grant} has {count} entries of {kind}"


def after_each_entry(entries: Sequence[Row]) -> list[tuple[int, ...]]:
    """Available, reserved and committed after each row of one call's ledger, 0 first."""
    accounts = dict.fromkeys((*ACCOUNTS, "source"), 0)
    after = [(0, 0, 0)]
    for row in entries:
        accounts[row["debit"]] += row["amount_eur"]
        accounts[row["credit"]] -= row["amount_eur"]
        after.append(tuple(accounts[name] for name in ACCOUNTS))
    return after
