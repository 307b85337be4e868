"""Owns how a number of things is written in an English sentence; pages and letters have their translations."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number of things in words: `1 letter`, `47 laureates`, `3 tries`."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"
