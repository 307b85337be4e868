"""A process dies where it was ordered to, once, and never in production."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from shared.config import Settings
from shared.crashpoints import ENVIRONMENT_VARIABLE, EXIT_CODE, PLACES, arm

ROOT = Path(__file__).resolve().parents[2]
COMES_THRICE = """
from shared.crashpoints import crash_point, this_process_is
this_process_is("funding")
for arrival in range(1, 4):
    print(arrival, flush=True)
    crash_point("relay.sent")
"""


def comes_thrice(folder: Path | None) -> tuple[int, str]:
    environment = {"PATH": "/usr/bin:/bin", **({ENVIRONMENT_VARIABLE: str(folder)} if folder else {})}
    done = subprocess.run(
        [sys.executable, "-c", COMES_THRICE], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout


def test_a_process_dies_at_its_arrival_and_its_successor_lives(tmp_path: Path) -> None:
    arm(tmp_path, "funding", "relay.sent", 2)
    assert comes_thrice(tmp_path) == (EXIT_CODE, "1\n2\n")
    assert comes_thrice(tmp_path) == (0, "1\n2\n3\n")
    assert list(tmp_path.iterdir()) == []


def test_orders_for_another_service_or_place_and_no_folder_at_all_end_nothing(tmp_path: Path) -> None:
    arm(tmp_path, "notify", "relay.sent")
    assert comes_thrice(tmp_path)[0] == 0
    arm(tmp_path, "funding", "mail.taken")
    assert comes_thrice(tmp_path)[0] == 0
    assert comes_thrice(None)[0] == 0


def test_a_folder_of_orders_is_refused_in_production(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path))
    with pytest.raises(ValidationError, match=ENVIRONMENT_VARIABLE):
        Settings(env="production")


def test_every_place_stands_in_the_code_where_it_can_be_reached() -> None:
    files = [path for folder in ("shared", "services") for path in (ROOT / folder).rglob("*.py")]
    code = "".join(path.read_text("utf-8") for path in files)
    assert [place for place in PLACES if f'crash_point("{place}")' not in code] == []
