"""Runs intake: `python -m services.intake [migrate] [--role ROLE]`."""

from services.intake.app import service
from shared.service import main

main(service)
