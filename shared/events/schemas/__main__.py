"""Writes the golden schemas: `python -m shared.events.schemas [--unreleased]`."""

import argparse

from shared.events.schemas import write

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m shared.events.schemas", description=__doc__)
    parser.add_argument(
        "--unreleased",
        action="store_true",
        help="no release has written the changed events yet: replace their schemas, keep nothing of the old ones",
    )
    for name in write(released=not parser.parse_args().unreleased):
        print(f"written: {name}")  # noqa: T201 - a command's answer
