"""The main job: the call of 2021, and the same call set otherwise, side by side on one real system."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.replay.document import Document
from cli.replay.engine import Watcher, replay
from cli.replay.overrides import override
from cli.replay.story import Story, read_files
from deploy.local.status import StatusProbe
from deploy.local.system import System
from shared.clock import read_clock
from tests import reckoning

pytestmark = pytest.mark.e2e

DATA = Path(__file__).parents[2] / "data"
AS_IT_WAS, HIGHER_BAR, SHORT_ENVELOPE = "innovation-2021", "higher-bar", "short-envelope"
STRONG, WEAK = "d06", "d07"
"""Both in the first round, whose claims all fit the short envelope too: only their marks decide about them."""
SETTINGS = {
    AS_IT_WAS: [],
    HIGHER_BAR: ["id=higher-bar", "rubric.pass_mark=63"],
    SHORT_ENVELOPE: ["id=short-envelope", "envelope_eur=1000000", f"marks.swap={STRONG},{WEAK}"],
}
NAMED = {"IFPRA", "Ada Tech School", "Social Builder", "Maison de l’Emploi du Grand Nancy", "Diversidays", "INCO",
         "Concept X Formation"}  # fmt: skip


@pytest.fixture(scope="module")
def files() -> dict[str, Any]:
    return read_files(DATA / "innovation-2021")


@pytest.fixture(scope="module")
def stories(files: dict[str, Any]) -> dict[str, Story]:
    return {name: Story.of(override(files, settings)) for name, settings in SETTINGS.items()}


@pytest.fixture(scope="module")
def system(systems: Callable[[], System]) -> System:
    return systems()


@pytest.fixture(scope="module")
def documents(system: System, stories: dict[str, Story]) -> dict[str, Document]:
    """All of them at once: time goes forwards only, and a system takes a while to start."""
    return asyncio.run(replay(system, list(stories.values()), Watcher()))


def reckoned(files: dict[str, Any], name: str) -> reckoning.Outcome:
    return reckoning.reckon(override(files, SETTINGS[name]))


def organisations(document: Document) -> set[str]:
    return {each["organisation"] for each in document["laureate_list"]}


async def ends_of(system: System) -> dict[str, int]:
    async with StatusProbe(system) as probe:
        return {str(place): end for place, end in (await probe.sample()).end_offsets.items() if end}


def test_the_call_of_2021_ends_with_its_47_laureates(documents: dict[str, Document]) -> None:
    document = documents[AS_IT_WAS]
    assert (document["submitted"], document["inadmissible"], document["withdrawn"]) == (89, 9, 4)
    assert document["laureates"] == len(document["laureate_list"]) == 47
    assert 1_590_000 <= document["awarded_eur"] <= 1_610_000
    assert document["remaining_eur"] == document["envelope_eur"] - document["awarded_eur"]
    assert organisations(document) >= NAMED


@pytest.mark.parametrize("name", SETTINGS)
def test_every_invariant_holds(documents: dict[str, Document], name: str) -> None:
    assert {each for each, holds in documents[name]["invariants"].items() if not holds} == set()


@pytest.mark.parametrize("name", SETTINGS)
def test_the_system_comes_to_what_the_rules_say_by_another_reckoning(
    documents: dict[str, Document], files: dict[str, Any], name: str
) -> None:
    expected, document = reckoned(files, name), documents[name]
    titles = {each["dossier"]: each["project"]["title"] for each in files["applications"]["applications"]}
    assert {each["title"]: each["amount_eur"] for each in document["laureate_list"]} == {
        titles[dossier]: amount_eur for dossier, amount_eur in expected.awarded.items()
    }
    assert document["awarded_eur"] == expected.awarded_eur
    assert (document["waitlisted"], document["not_selected"]) == (len(expected.waitlisted), len(expected.not_selected))


def test_a_higher_pass_mark_gives_fewer_laureates(documents: dict[str, Document]) -> None:
    assert documents[HIGHER_BAR]["laureates"] < documents[AS_IT_WAS]["laureates"]


def test_two_applications_with_exchanged_marks_exchange_outcomes(
    documents: dict[str, Document], files: dict[str, Any]
) -> None:
    titles = {each["dossier"]: each["project"]["title"] for each in files["applications"]["applications"]}
    before, after = (
        {each["title"] for each in documents[name]["laureate_list"]} & {titles[STRONG], titles[WEAK]}
        for name in (AS_IT_WAS, SHORT_ENVELOPE)
    )
    assert (before, after) == ({titles[STRONG]}, {titles[WEAK]})


def test_an_envelope_of_1_000_000_eur_gives_a_waiting_list_and_is_never_exceeded(
    documents: dict[str, Document],
) -> None:
    document = documents[SHORT_ENVELOPE]
    assert document["waitlisted"] > 0
    assert document["awarded_eur"] <= document["envelope_eur"] == 1_000_000
    assert document["letters"]["waitlisted"] == document["waitlisted"]


def test_everybody_is_told_once(documents: dict[str, Document]) -> None:
    document = documents[AS_IT_WAS]
    letters = document["letters"]
    assert letters["receipt"] == document["submitted"]
    assert letters["awarded"] == document["laureates"]
    assert letters["not_selected"] == document["not_selected"]
    assert letters["inadmissible"] == document["inadmissible"]


async def test_a_second_replay_changes_nothing_and_says_the_same(
    documents: dict[str, Document], system: System, stories: dict[str, Story]
) -> None:
    assert system.clock_file is not None
    before, time_before = await ends_of(system), read_clock(system.clock_file)
    again = await replay(system, [stories[AS_IT_WAS]], Watcher())
    assert again[AS_IT_WAS] == documents[AS_IT_WAS]
    assert await ends_of(system) == before
    assert read_clock(system.clock_file) == time_before
