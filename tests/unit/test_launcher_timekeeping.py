"""A state folder keeps the clock that its data were made at."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy.local.state import StateFolder
from deploy.local.timekeeping import BEFORE_EVERY_CALL, Clock, ClockRefused, asked_for, settle
from shared.clock import ENVIRONMENT_VARIABLE, ClockFileBroken, read_clock, write_clock
from shared.messaging.failures import Verdict, judge

AUTUMN, WINTER = datetime(2021, 11, 18, 17, tzinfo=UTC), datetime(2022, 1, 10, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StateFolder:
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)
    state = StateFolder.at(tmp_path / "state")
    state.prepare()
    return state


def up(folder: StateFolder, clock: Path | None = None, *, simulated: bool = False) -> Clock:
    """What `releve up` does about time."""
    chosen = settle(folder, asked_for(folder, clock, simulated=simulated))
    folder.keep_clock(chosen.file)
    return chosen


def test_a_folder_that_ran_at_a_simulated_clock_goes_on_at_it_and_says_so(folder: StateFolder) -> None:
    assert up(folder, simulated=True).file == folder.clock_file
    assert read_clock(folder.clock_file) == BEFORE_EVERY_CALL
    write_clock(folder.clock_file, AUTUMN)
    again = up(folder)
    assert again.file == folder.clock_file
    assert str(again).startswith("simulated, 2021-11-18 17:00 UTC")
    assert "were made at it" in str(again)


def test_a_clock_that_was_named_is_kept_too(folder: StateFolder, tmp_path: Path) -> None:
    named = tmp_path / "now"
    assert up(folder, named).file == up(folder).file == named


def test_a_fresh_folder_runs_on_the_real_clock_and_goes_on_at_it(folder: StateFolder) -> None:
    assert (up(folder).file, up(folder).file) == (None, None)
    with pytest.raises(ClockRefused, match=r"made at the real clock.*--state-dir"):
        up(folder, simulated=True)


def test_a_start_that_failed_binds_to_no_clock(folder: StateFolder) -> None:
    settle(folder, None)
    assert up(folder, simulated=True).file == folder.clock_file


def test_another_clock_is_taken_only_if_time_goes_on(folder: StateFolder, tmp_path: Path) -> None:
    up(folder, simulated=True)
    write_clock(folder.clock_file, AUTUMN)
    earlier, later = tmp_path / "earlier", tmp_path / "later"
    write_clock(earlier, BEFORE_EVERY_CALL)
    write_clock(later, WINTER)
    for refused in (earlier, tmp_path / "new"):
        with pytest.raises(ClockRefused, match="only goes forwards"):
            up(folder, refused)
    assert up(folder, later).file == up(folder).file == later


def test_a_clock_that_is_gone_does_not_start_again_under_the_data(folder: StateFolder) -> None:
    up(folder, simulated=True)
    folder.clock_file.unlink()
    with pytest.raises(ClockRefused, match="gone"):
        up(folder)


def test_a_clock_without_a_folder_or_an_instant_is_refused_by_its_name(folder: StateFolder, tmp_path: Path) -> None:
    with pytest.raises(ClockRefused, match="nowhere/now does not exist"):
        up(folder, tmp_path / "nowhere" / "now")
    (tmp_path / "words").write_text("tomorrow", encoding="utf-8")
    with pytest.raises(ClockFileBroken, match="tomorrow"):
        up(folder, tmp_path / "words")


NO_INSTANT = (b"", b"garbage", b"\xff\xfe\x00", b"2021-08-02T09:15:00")
BEYOND_UTC = (b"0001-01-01T00:00:00+14:00", b"9999-12-31T23:59:59-14:00")


@pytest.mark.parametrize("content", [*NO_INSTANT, *BEYOND_UTC])
def test_a_clock_file_without_an_instant_is_nobodys_fault_and_waited_for(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "now").write_bytes(content)
    with pytest.raises(ClockFileBroken, match="now holds") as broken:
        read_clock(tmp_path / "now")
    assert judge(broken.value) is Verdict.AGAIN
