"""Owns the health check of a service's container: whether its /readyz says ready; it tells why not."""

import sys
import urllib.error
import urllib.request


def main(port: str) -> None:
    """End with 0 when the service on this port is ready, else with what it lacks."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=4):
            return
    except urllib.error.HTTPError as answer:
        sys.exit(answer.read().decode("utf-8", errors="replace"))
    except OSError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1])
