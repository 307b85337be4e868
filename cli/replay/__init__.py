"""A call of the past, played again through the public interfaces (`docs/design.md` §6)."""

from cli.replay.command import replay_folder as replay

__all__ = ["replay"]
