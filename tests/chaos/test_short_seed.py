"""A short run of chaos under one seed: whatever strikes, everything that a system keeps agrees in the end."""

from pathlib import Path

import pytest

from tests.chaos.run import chaos

SEED = 148
"""Its first half minute has a death, mail that is taken unsaid, a broken record, a future one, and repeated events."""

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def test_every_promise_is_kept_under_a_short_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = chaos(SEED, 30, tmp_path, print, monkeypatch.setenv)
    assert verdict.faults
    assert verdict.holds, "\n".join(verdict.lines())
