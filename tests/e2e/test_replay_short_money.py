"""The fiction in which money is short, while the services are killed one after the other."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from cli.replay.applicants import Applicants
from cli.replay.document import Document
from cli.replay.doors import Doors
from cli.replay.engine import Watcher, replay
from cli.replay.script import Scene
from cli.replay.story import Story, read_files
from cli.verify import CHECKS, Evidence, gather, verify
from deploy.local.state import StateFolder
from deploy.local.system import System
from tests.damage import DAMAGE

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "data" / "short-money"
KILLED_AT = {"submit": ["intake"], "evaluate": ["review", "ops"], "decide": ["funding", "notify"]}
"""Who dies at the first scene of that name, shortly after it began; each death costs a rebalance, so some coincide."""
INTO_THE_SCENE_S = 0.03


@pytest.fixture(scope="module")
def story() -> Story:
    return Story.of(read_files(FOLDER))


def replay_command(system: System, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli.main", "replay", *words, "--state-dir", str(system.state_dir)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def undisturbed(systems: Callable[[], System]) -> tuple[System, Document]:
    """The replay of the command line, with nothing in its way."""
    system = systems()
    done = replay_command(system, str(FOLDER), "--json")
    assert done.returncode == 0, done.stderr
    return system, json.loads(done.stdout)


def kill(system: System, service: str) -> None:
    for entry in StateFolder.at(system.state_dir).processes():
        process = entry.process() if entry.role == f"service:{service}" else None
        if process is not None:
            process.send_signal(psutil.signal.SIGKILL)


def test_money_goes_down_the_list_at_every_release(undisturbed: tuple[System, Document]) -> None:
    document = undisturbed[1]
    titles = {each["title"] for each in document["laureate_list"]}
    assert titles == {"Parrains du lundi", "Un bureau pour réviser", "Vitrine des apprentis", "Bridge to Work",
                      "Second Shift"}  # fmt: skip
    assert (document["submitted"], document["inadmissible"], document["withdrawn"]) == (12, 1, 3)
    assert (document["awarded_eur"], document["remaining_eur"]) == (165_000, 35_000)
    assert (document["waitlisted"], document["not_selected"]) == (0, 1)


def test_an_award_replaced_while_sealed_gives_no_letter_and_each_promotion_one(
    undisturbed: tuple[System, Document],
) -> None:
    letters = undisturbed[1]["letters"]
    # At the announcement: five of the six first awards and one promoted while sealed; later two more are promoted.
    assert letters["awarded"] == 5 + 1 + 2
    # Two who were promoted later had been told that they wait, and one waited to the end.
    assert letters["waitlisted"] == 3


def test_every_invariant_holds(undisturbed: tuple[System, Document]) -> None:
    assert {name for name, holds in undisturbed[1]["invariants"].items() if not holds} == set()


def test_another_replay_that_starts_before_the_clock_is_refused(undisturbed: tuple[System, Document]) -> None:
    refused = replay_command(undisturbed[0], str(ROOT / "data" / "innovation-2021"))
    assert refused.returncode == 1
    assert "use a fresh state folder" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


def test_the_same_call_set_otherwise_is_refused(undisturbed: tuple[System, Document]) -> None:
    refused = replay_command(undisturbed[0], str(FOLDER), "--set", "envelope_eur=300000")
    assert refused.returncode == 1
    assert "not published here with equal content" in refused.stderr


def test_killing_any_service_gives_the_same_document(
    undisturbed: tuple[System, Document], systems: Callable[[], System], story: Story
) -> None:
    system, left = systems(), dict(KILLED_AT)

    def disturb(scene: Scene) -> None:
        for service in left.pop(scene.name, []):
            asyncio.get_running_loop().call_later(INTO_THE_SCENE_S, kill, system, service)

    document = asyncio.run(replay(system, [story], Watcher(scene=disturb)))[story.call.id]
    assert left == {}
    assert document == undisturbed[1]


@pytest.fixture(scope="module")
def evidence(undisturbed: tuple[System, Document], story: Story) -> Evidence:
    """Everything that the undisturbed system keeps, and what its applicants were answered."""

    async def gathered() -> Evidence:
        async with Doors(undisturbed[0]) as doors:
            applicants = Applicants(story, doors)
            for dossier in story.dossiers:  # the replay's keys again: each gives its first answer
                await applicants.submit(dossier)
        return await gather(undisturbed[0], applicants.answers)

    return asyncio.run(gathered())


def broken(evidence: Evidence) -> set[str]:
    return {name for name, findings in verify(evidence).items() if findings}


def test_all_that_a_system_keeps_agrees(evidence: Evidence) -> None:
    assert broken(evidence) == set()
    assert len(evidence.seen) == 12


@pytest.mark.parametrize("check", list(DAMAGE))
def test_each_kind_of_damage_is_seen_by_the_check_that_is_for_it(evidence: Evidence, check: str) -> None:
    assert check in broken(DAMAGE[check](evidence))


def test_every_check_has_its_damage() -> None:
    assert set(DAMAGE) == set(CHECKS)
