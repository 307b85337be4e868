"""A line that cannot be written is lost, and nothing else with it."""

import subprocess
import sys
from pathlib import Path

WRITES = """
import logging, structlog
from shared.logs import set_up_logs
set_up_logs("test")
for _ in range(2000):
    structlog.get_logger().warning("one of ours", filler="x" * 100)
    logging.getLogger("elsewhere").warning("one of a library's")
print("went on")
"""


def test_a_full_disk_under_the_log_fails_nothing() -> None:
    command = [sys.executable, "-c", WRITES]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=full, text=True, check=False)
    assert ended.stdout == "went on\n"
