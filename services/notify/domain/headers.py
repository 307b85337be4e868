"""Owns what may stand in a header of a letter: one line, nothing that begins another; it builds no message."""

from unicodedata import category

SEPARATORS_AND_CONTROLS = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories: control (CR, LF, NEL and the like), lone surrogate, line and paragraph separator."""


class HeaderRefused(ValueError):
    """A value would break out of its header field; data: the field. The value itself is never quoted."""

    def __init__(self, field: str) -> None:
        super().__init__(f"the value of {field} has a line separator or control character")
        self.field = field


def header_value(field: str, value: str) -> str:
    """The value if it is one line for everybody: no CR, LF or other separator that `str.splitlines` knows."""
    if any(category(character) in SEPARATORS_AND_CONTROLS for character in value):
        raise HeaderRefused(field)
    return value
