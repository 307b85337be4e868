"""Owns `--set`: another value for one place of the call, or exchanged marks; it changes values only, never files."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from cli.lines import grammar_mistake

EXCHANGE = "marks.swap"
"""`--set marks.swap=d40,d84` gives each of two applications the other's opinions."""


class OverrideImpossible(Exception):
    """A `--set` names nothing in the call; the message says what there is."""


def override(files: Mapping[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """The files with each `path=value` applied. Paths are dotted, lists take an item's `id` or its place from 0.

    `id=other` renames the call: its rounds and its references follow, so that it can run beside the first.
    Raises OverrideImpossible.
    """
    changed = copy.deepcopy(dict(files))
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals:
            raise OverrideImpossible(f"--set takes key=value, not {setting!r}")
        try:
            _apply(changed, path, text)
        except (KeyError, TypeError, AttributeError):
            raise OverrideImpossible(
                f"--set {setting}: the folder has mistakes itself, which a replay without --set names"
            ) from None
    return changed


def _apply(changed: dict[str, Any], path: str, text: str) -> None:
    if path == EXCHANGE:
        _exchange(changed["marks"]["evaluations"], changed["instruction"].get("conflicts") or {}, text)
    elif path == "id":
        _rename(changed, text)
    else:
        _set(changed["call"], path, _value(text))


def _value(text: str) -> Any:
    try:
        return YAML(typ="safe").load(text)
    except (YAMLError, ValueError) as error:
        raise OverrideImpossible(f"--set: {text!r} is not a value: {grammar_mistake(error)[1]}") from None


def _set(call: Any, path: str, value: Any) -> None:
    *parents, last = path.split(".")
    part = call
    for name in parents:
        part = part[_place(part, name, path)]
    part[_place(part, last, path)] = value


def _place(part: Any, name: str, path: str) -> str | int:
    if isinstance(part, dict):
        keys: dict[str, str | int] = {str(key): key for key in part}
        there = list(keys)
        if name in keys:
            return keys[name]
    elif isinstance(part, list):
        there = [str(each.get("id")) if isinstance(each, dict) else str(place) for place, each in enumerate(part)]
        if name in there:
            return there.index(name)
        if name.isdecimal() and int(name) < len(part):
            return int(name)
    else:
        there = []
    or_place = f" (or its place, 0 to {len(part) - 1})" if isinstance(part, list) and part else ""
    raise OverrideImpossible(
        f"--set {path}: the call has no {name!r} there, only {', '.join(there) or 'a value'}{or_place}"
    )


def _exchange(opinions: dict[str, Any], conflicts: dict[str, Any], text: str) -> None:
    names = [name.strip() for name in text.split(",")]
    if len(set(names)) != 2 or not set(names) <= opinions.keys():  # noqa: PLR2004  (an exchange is between two)
        raise OverrideImpossible(
            f"--set {EXCHANGE}: name two applications that have marks, such as d40,d84, not {text!r}"
        )
    one, other = names
    opinions[one], opinions[other] = opinions[other], opinions[one]
    # A reviewer who steps back leaves a slot without marks, so the declarations go with the opinions.
    declared = {one: conflicts.pop(other, None), other: conflicts.pop(one, None)}
    conflicts.update({name: slots for name, slots in declared.items() if slots})


def _rename(files: dict[str, Any], name: str) -> None:
    call = files["call"]
    renamed = {each["id"]: each["id"].replace(call["id"], name, 1) for each in call["rounds"]}
    for each in call["rounds"]:
        each["id"] = renamed[each["id"]]
    for act in files["calendar"]["acts"]:
        if "round" in act:
            act["round"] = renamed[act["round"]]
    call["id"], call["reference_prefix"] = name, name.upper()[:20].strip("-")
