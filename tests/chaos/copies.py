"""Owns the multiplying of one prepared call: what the product brought about once is there a thousand times, to race.

Every row of a service's database that tells of the call is copied with other names: the call's id gets a number, and so
do all UUIDs in place of their first eight digits. Balances are not copied: the ledger's own trigger moves them.
"""

from __future__ import annotations

import re
from dataclasses import replace

from tests.bench import ServiceBench
from tests.builders_funding import CALL, Dossier

TABLES = (
    "call", "round", "application", "proposal", "proposal_line", "award", "ledger_entry", "sequence_counter", "outbox",
)  # fmt: skip
COLUMNS = """
SELECT column_name FROM information_schema.columns
WHERE table_name = :table AND is_generated = 'NEVER' AND is_identity = 'NO' ORDER BY ordinal_position
"""
PAYLOAD = "convert_from(t.payload, 'UTF8')"
UUID = "[0-9a-f]{8}(-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12})"


def _renamed(text: str) -> str:
    """SQL that gives a text the names of copy `n`."""
    named = f"replace({text}, '{CALL}', '{CALL}-' || lpad(CAST(n AS text), 4, '0'))"
    return f"regexp_replace({named}, '{UUID}', lpad(to_hex(n), 8, '0') || '\\1', 'g')"


async def multiply(bench: ServiceBench, copies: int) -> None:
    """Make copies 1, 2, 3 … of the one call that the service holds, with all that it knows and has said of it."""
    async with bench.db.transaction() as tx:
        for table in TABLES:
            columns = [row["column_name"] for row in await tx.fetch_all(COLUMNS, table=table)]
            values = [f"r.{column}" for column in columns]
            if table == "outbox":
                values[-1] = f"convert_to({_renamed(PAYLOAD)}, 'UTF8')"
            await tx.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)}"  # noqa: S608 - constants only
                f" FROM generate_series(1, :copies) AS n CROSS JOIN {table} AS t CROSS JOIN LATERAL"
                f" jsonb_populate_record(CAST(NULL AS {table}), CAST({_renamed('CAST(to_jsonb(t) AS text)')} AS jsonb))"
                " AS r ORDER BY n",
                copies=copies,
            )


def copied(name: str, number: int) -> str:
    """What an id of the call is called in a copy."""
    return re.sub(UUID, rf"{number:08x}\1", name.replace(CALL, f"{CALL}-{number:04}"))


def copied_dossier(dossier: Dossier, number: int) -> Dossier:
    """An application as a copy has it."""
    return replace(
        dossier, id=copied(dossier.id, number), call_id=copied(dossier.call_id, number),
        round_id=copied(dossier.round_id, number),
    )  # fmt: skip
