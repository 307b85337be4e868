"""Owns the words for a value of the wrong shape: what it should be, in a sentence without the validator's own terms."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

AN_ID = "must be an id such as 01890a5d-ac96-774b-bcce-b302099a8057"
BY_BOUND = {
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "string_too_long": "is longer than {max_length} characters",
    "string_too_short": "is too short, {min_length} at least",
    "too_short": "needs {min_length} at least",
    "too_long": "takes {max_length} at most",
}
BY_PATTERN = {
    r"^[a-z0-9]+(-[a-z0-9]+)*$": "must be of small letters, digits and single hyphens, such as innovation-2021",
    r"^[a-z][a-z0-9_]*$": "must be of small letters, digits and underscores, a letter first, such as target_public",
    r"^[A-Z0-9]+(-[A-Z0-9]+)*$": "must be of capital letters, digits and single hyphens, such as INNO-2021",
    r"^\d{14}$": "must be a SIRET: 14 digits",
    r"^[0-9]{9}$": "must be a SIREN: 9 digits",
    r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$": AN_ID,
}
BY_TYPE = {
    "missing": "is missing",
    "extra_forbidden": "is not a name that belongs here",
    "timezone_naive": "needs a time zone: such as 2021-09-30T23:59:00+02:00",
    "int_from_float": "must be a whole number",
    "none_required": "must be empty",
    "model_attributes_type": "must be a part with names and values of its own",
}
BY_BEGINNING = (
    ("datetime", "must be an instant such as 2021-09-30T23:59:00+02:00"),
    ("date", "must be a date such as 2021-09-30"),
    ("int", "must be a whole number"),
    ("decimal", "must be a number"),
    ("float", "must be a number"),
    ("uuid", AN_ID),
    ("bool", "must be true or false"),
    ("string", "must be a text"),
    ("model", "must be a part with names and values of its own"),
    ("dict", "must be a part with names and values of its own"),
    ("mapping", "must be a part with names and values of its own"),
    ("tuple", "must be a list"),
    ("list", "must be a list"),
)
"""By how Pydantic's name of the mistake begins: `int_parsing`, `int_type`; longer names stand before shorter ones."""


def in_words(error: Mapping[str, Any]) -> str:
    """One of Pydantic's errors as a sentence without a subject: "must be at most 100". It quotes no input."""
    kind, context = error["type"], error.get("ctx") or {}
    if kind == "string_pattern_mismatch":
        return BY_PATTERN.get(context["pattern"], f"must have the form {context['pattern']}")
    if kind in BY_BOUND:
        return BY_BOUND[kind].format_map(context)
    if kind in BY_TYPE:
        return BY_TYPE[kind]
    for beginning, words in BY_BEGINNING:
        if kind.startswith(beginning):
            return words
    return str(error["msg"]).removeprefix("Value error, ")


def told(errors: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The errors worth telling: a list whose items are wrong is counted too short as well, which is no second one."""
    errors = list(errors)
    for error in errors:
        within = [each for each in errors if each["loc"][: len(error["loc"])] == error["loc"] and each is not error]
        if not (within and error["type"] == "too_short"):
            yield error
