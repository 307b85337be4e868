"""Room for bodies: what does not fit is turned away, and what was answered makes room again."""

import pytest

from shared.group_commit import TooManyWait
from shared.room import Room


def test_what_does_not_fit_is_turned_away_until_room_is_made() -> None:
    room = Room(10)
    with room.held(6):
        with pytest.raises(TooManyWait), room.held(5):
            pass
        with room.held(4):
            pass
    with room.held(10):
        pass


def test_a_request_that_fails_leaves_its_room() -> None:
    room = Room(10)
    with pytest.raises(ZeroDivisionError), room.held(10):
        raise ZeroDivisionError
    with room.held(10):
        pass


def test_a_single_one_always_finds_room() -> None:
    with Room(10).held(11):
        pass
