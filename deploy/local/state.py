"""Owns the state folder: who runs in it, under which lock, with which secrets; it starts and ends nothing."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deploy.local.cache import take
from deploy.local.process import Recorded

STATE_VARIABLE = "RELEVE_STATE_DIR"
LAUNCHER = "launcher"


class AlreadyRunning(Exception):
    """Another launcher holds this state folder."""


class StateUnusable(Exception):
    """A state folder or a file of it is of no use; the message is one sentence that names it and says what to do."""


_FRESH = "take a fresh state folder (--state-dir)"


def default_folder() -> Path:
    """RELEVE_STATE_DIR, else `.releve` in the current folder."""
    return Path(os.environ.get(STATE_VARIABLE) or ".releve")


@dataclass(frozen=True, slots=True)
class StateFolder:
    """Paths and small files under one folder, an absolute path."""

    path: Path

    @classmethod
    def at(cls, path: Path | None = None) -> StateFolder:
        """The folder given, or the default one; it need not exist yet."""
        return cls((path or default_folder()).resolve())

    @property
    def description(self) -> Path:
        """`system.json`: the running system, there only while one runs."""
        return self.path / "system.json"

    @property
    def mail(self) -> Path:
        """Where the mail catcher keeps its messages."""
        return self.path / "mail"

    @property
    def clock_file(self) -> Path:
        """The simulated clock, in a folder of its own so that containers can mount that folder."""
        return self.path / "clock" / "now"

    @property
    def _clock_record(self) -> Path:
        return self.path / "clock.json"

    def knows_its_clock(self) -> bool:
        """Whether a system has run here, so that its data were made at a clock that is known."""
        return self._clock_record.exists()

    def kept_clock(self) -> Path | None:
        """The file of the simulated clock that this folder's data were made at; None for the real clock."""
        own = self.clock_file.relative_to(self.path)
        choices = f'{{"file": null}} for the real clock, {{"file": "{own}"}} for a simulated one of this folder'
        mend = f"write into it at which clock the data here were made ({choices}), or {_FRESH}"
        named = (self.read(self._clock_record, mend) or {}).get("file", ...)
        if not isinstance(named, str | None):
            raise StateUnusable(f"{self._clock_record} is broken (it names no clock): {mend}.")
        return self.path / named if named else None

    def keep_clock(self, file: Path | None) -> None:
        """Write down at which clock the data are made from now on."""
        own = file is not None and file.is_relative_to(self.path)  # The folder may be moved, its own clock with it.
        named = file.relative_to(self.path) if file is not None and own else file
        write_private(self._clock_record, {"file": str(named) if named else None})

    def log(self, role: str) -> Path:
        """The log of one child."""
        return self.path / "logs" / f"{role.removeprefix('service:')}.log"

    def prepare(self) -> None:
        """Create the folder, readable by its owner only in what holds secrets. Raises StateUnusable."""
        try:
            (self.path / "logs").mkdir(parents=True, exist_ok=True)
            self.mail.mkdir(exist_ok=True)
            self.clock_file.parent.mkdir(exist_ok=True)
        except OSError as failure:
            raise self._unusable(failure) from failure

    @contextmanager
    def held(self, wait_s: float = 1) -> Iterator[None]:
        """Hold the folder for one launcher; the kernel lets go when that process dies.

        `wait_s`: somebody who only looks (`is_held`) holds it for an instant. Raises AlreadyRunning, StateUnusable.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            opened = (self.path / "launcher.lock").open("a")
        except OSError as failure:
            raise self._unusable(failure) from failure
        with opened as lock:
            deadline = time.monotonic() + wait_s
            while not take(lock, fcntl.LOCK_EX):
                if time.monotonic() > deadline:
                    raise AlreadyRunning
                time.sleep(0.05)
            yield

    def is_held(self) -> bool:
        """Whether a launcher holds the folder now. Raises StateUnusable."""
        try:
            with (self.path / "launcher.lock").open("r") as lock:
                return not take(lock, fcntl.LOCK_SH)
        except FileNotFoundError:
            return False
        except OSError as failure:
            raise self._unusable(failure) from failure

    def write_processes(self, processes: Sequence[Recorded]) -> None:
        """Write down who runs, so that `releve down` finds them after a crash of the launcher."""
        write_private(self.path / "processes.json", [asdict(process) for process in processes])

    def processes(self) -> list[Recorded]:
        """Who was running when it was last written down."""
        try:
            return [Recorded(**entry) for entry in json.loads((self.path / "processes.json").read_text("utf-8"))]
        except (FileNotFoundError, ValueError, TypeError):
            return []

    def secret(self, name: str) -> str:
        """A secret of this folder, made at its first use and kept."""
        path = self.path / "secrets.json"
        mend = f"it holds the passwords of the databases here; put a copy of it back, or {_FRESH}"
        kept = self.read(path, mend) or {}
        if name not in kept:
            kept[name] = secrets.token_urlsafe(36)
            write_private(path, kept)
        return str(kept[name])

    def read(self, path: Path, mend: str) -> dict[str, Any] | None:
        """A file of this folder that holds one JSON object; None if it is not there.

        `mend`: what to do where it is broken. Raises StateUnusable.
        """
        try:
            content = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as broken:
            raise StateUnusable(f"{path} is broken ({broken}): {mend}.") from None
        except OSError as failure:
            raise self._unusable(failure) from failure
        if not isinstance(content, dict):
            raise StateUnusable(f"{path} is broken (it holds no object): {mend}.")
        return content

    def _unusable(self, failure: OSError) -> StateUnusable:
        is_file = os.path.isfile(self.path)  # noqa: PTH113 - it never raises
        why = "it is a file" if is_file else f"{failure.filename}: {failure.strerror}"
        return StateUnusable(f"{self.path} cannot be used as a state folder ({why}): name another (--state-dir).")


def write_private(path: Path, content: Any) -> None:
    """Write a JSON document in one step, for its owner's eyes only. Raises OSError, which names the file."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=2, ensure_ascii=False)
        draft.replace(path)
    except OSError as failure:
        with suppress(OSError):
            draft.unlink()
        raise OSError(failure.errno, failure.strerror, str(path)) from failure
