"""What the tests of a service's parts are given: the service, on a fresh database."""

from pathlib import Path

import pytest

from tests.builders_review import Review, a_review
from tests.databases import Databases


@pytest.fixture
async def review(databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Review:
    """A review service, with a clock of its own."""
    return await a_review(databases, tmp_path, monkeypatch)
