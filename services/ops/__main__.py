"""Runs the ops service: `python -m services.ops`."""

from services.ops.app import service
from shared.service import main

main(service)
