"""Owns where a place of a YAML file is written: its line; what is wrong there, others say."""

from __future__ import annotations

import io

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from shared.events.agreement import Path as Place


def composed(text: str) -> Node | None:
    """The file's nodes with their lines; None of an empty file. Raises YAMLError."""
    root: Node | None = YAML(typ="safe", pure=True).compose(io.StringIO(text))
    return root


def line_of(root: Node, place: Place) -> int:
    """The line where a place of the document is written; of the nearest part above it if it is missing."""
    node, line = root, int(root.start_mark.line)
    for part in place:
        following = _child(node, part)
        if following is None:
            break
        line, node = following
    return line + 1


def _child(node: Node, part: str | int) -> tuple[int, Node] | None:
    if isinstance(node, MappingNode):
        # The first of equal keys is the one that was read.
        for key, value in node.value:
            if str(key.value) == str(part):
                # The key's line: a value may be an alias of something written elsewhere.
                return key.start_mark.line, value
    elif isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark.line, node.value[part]
    return None


def grammar_mistake(error: YAMLError | ValueError) -> tuple[int, str]:
    """The line and the words of a mistake in YAML's own grammar, or of a value such as the 30 February."""
    if isinstance(error, MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        reason = " ".join(part for part in (error.context, error.problem) if part)
        return (mark.line + 1 if mark else 1), f"not YAML: {reason}"
    return 1, f"not YAML: {str(error).splitlines()[0]}"
