"""What follows closely is taken together, longer and longer; after a rest the first waits for nothing."""

from shared.messaging.gathering import Gathering


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def waits_of(gathering: Gathering, clock: Clock, pieces: list[tuple[float, int]]) -> list[float]:
    """The wait after each piece: so long after the wait before it, with so many of ten at most."""
    waits = []
    for later_s, count in pieces:
        clock.now += gathering.wait_s + later_s
        gathering.had(count, 10)
        waits.append(round(gathering.wait_s, 3))
    return waits


def test_under_a_steady_load_the_pause_doubles_up_to_the_longest() -> None:
    clock = Clock()
    waits = waits_of(Gathering(0.02, 0.1, clock), clock, [(0.01, 3)] * 5)
    assert waits == [0.02, 0.04, 0.08, 0.1, 0.1]


def test_after_a_rest_the_first_waits_for_nothing_and_the_next_only_a_little() -> None:
    clock = Clock()
    gathering = Gathering(0.02, 0.1, clock)
    waits_of(gathering, clock, [(0.01, 3)] * 5)
    clock.now += 5
    assert gathering.wait_s == 0
    assert waits_of(gathering, clock, [(0.0, 1), (0.01, 1)]) == [0.02, 0.04]


def test_a_full_piece_is_followed_at_once_and_an_empty_one_changes_nothing() -> None:
    clock = Clock()
    gathering = Gathering(0.02, 0.1, clock)
    assert waits_of(gathering, clock, [(0.0, 10), (0.0, 0), (0.0, 10)]) == [0, 0, 0]
