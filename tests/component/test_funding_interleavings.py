"""Nothing is ordered across topics: any interleaving of the input topics reaches the same state."""

import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from shared.messaging.records import RawRecord
from tests.builders_funding import (
    ANNOUNCES,
    DECIDES,
    R1,
    R2,
    Funding,
    a_call,
    a_funding,
    a_round,
    closed,
    dossiers,
    published,
    recomputed,
)
from tests.databases import Databases

STATE = """
SELECT application_id, withdrawn_at, inadmissible_at, score, means, recommended_eur, open, outcome, reason, rank,
    claim_eur, told_at IS NOT NULL AS told FROM application ORDER BY application_id;
SELECT round_id, closes_at, closed_count, received, open_members, members_match, ready, decided_at, announced_at
    FROM round ORDER BY round_id;
SELECT application_id, amount_eur, rank, state, answer_by, lapses_at FROM award ORDER BY application_id;
SELECT inputs_sha256, outcome_sha256 FROM proposal p JOIN round r ON r.current_proposal = p.proposal_id
    ORDER BY p.round_id;
SELECT kind, debit, credit, amount_eur, application_id FROM ledger_entry ORDER BY number;
SELECT call_id, version, unmet_reduction_eur FROM call
"""


@pytest.fixture
async def funding(databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Funding:
    return await a_funding(databases, tmp_path, monkeypatch)


async def state(funding: Funding) -> list[Any]:
    return [await funding.rows(sql) for sql in STATE.split(";")]


def shuffled(records: list[RawRecord], seed: int) -> list[list[RawRecord]]:
    """The records in batches of one topic each, in a random order that keeps the order of each key of a topic."""
    rng = random.Random(seed)
    queues: dict[tuple[str, bytes | None], list[RawRecord]] = defaultdict(list)
    for record in records:
        queues[record.topic, record.key].append(record)
    batches: list[list[RawRecord]] = []
    while queues:
        topic = rng.choice(sorted({topic for topic, _ in queues}))
        batch: list[RawRecord] = []
        for _ in range(rng.randint(1, 6)):
            keys = [key for key in queues if key[0] == topic]
            if not keys:
                break
            key = rng.choice(keys)
            batch.append(queues[key].pop(0))
            if not queues[key]:
                del queues[key]
        batches.append(batch)
        if rng.random() < 0.3:
            batches.append(rng.choice(batches))  # delivered again, at once or later
    return batches


first, second = dossiers(7), dossiers(4, round_id=R2)
EVENTS = [
    published(a_call(rounds=[a_round(R1), a_round(R2, 1)], envelope_eur=120_000)),
    published(a_call(rounds=[a_round(R1), a_round(R2, 1)], envelope_eur=140_000, version=2)),
    *(each.submitted() for each in first + second),
    first[5].withdrawn(),
    second[3].withdrawn(),
    closed(first, call_version=2),
    closed(second, R2, call_version=2),
    *(each.scored(score) for each, score in zip(first, ["90", "85", "70", "70", "40"], strict=False)),
    first[2].voided(),
    first[2].scored("88", revision=2, recommended_eur=25_000),
    first[5].scored("99"),
    first[6].inadmissible(),
    *(each.scored(score) for each, score in zip(second, ["60", "77", "59.5", "95"], strict=True)),
]


async def settled(funding: Funding, seed: int | None) -> list[Any]:
    """Give all facts in some order, decide both rounds, announce the first: what is held then."""
    records = [funding.record(event) for event in EVENTS]
    for batch in [[record] for record in records] if seed is None else shuffled(records, seed):
        await funding.take(batch)
    funding.at(DECIDES)
    for round_id in (R1, R2):
        async with funding.staff() as client:
            proposal = (await client.post(f"/rounds/{round_id}/proposal", json={"moves": []})).json()["id"]
            answer = await client.post(f"/rounds/{round_id}/decision", json={"proposal": proposal})
            assert answer.json()["status"] == "decided"
    funding.at(ANNOUNCES)
    await funding.fire()
    assert recomputed(await funding.events()) == await funding.balance()
    assert await funding.value("SELECT count(*) FROM dead_letter") == 0
    return await state(funding)


@pytest.mark.parametrize("seeds", [range(1, 9)])
async def test_any_interleaving_of_the_topics_reaches_the_same_state(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seeds: range
) -> None:
    in_order = await settled(await a_funding(databases, tmp_path, monkeypatch), None)
    assert [row["outcome"] for row in in_order[0]].count("awarded") == 4
    for seed in seeds:
        other = await settled(await a_funding(databases, tmp_path, monkeypatch), seed)
        assert other == in_order, f"seed {seed}"


async def test_answers_and_late_facts_in_any_order_keep_every_euro(funding: Funding) -> None:
    await settled(funding, 99)
    rng = random.Random(7)
    held = [each for each in first[:5] if await funding.grant_of(each)]
    grants = {each.id: await funding.grant_of(each) for each in held}
    late = [
        *(each.declined(grants[each.id]) for each in held[:2]),
        *(each.accepted(grants[each.id]) for each in held),
        *(each.withdrawn() for each in held[1:3]),
        *(each.scored("1", revision=9) for each in held),
    ]
    rng.shuffle(late)
    await funding.receive(*late)
    assert recomputed(await funding.events()) == await funding.balance()
    states = set(await funding.outcomes(held))
    assert "awarded" not in states
    assert await funding.value("SELECT count(*) FROM flag WHERE kind = 'scored_after_decision'") == len(held)
