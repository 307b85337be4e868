"""Runs the funding service: `python -m services.funding [migrate] [--role ROLE]`."""

from services.funding.app import service
from shared.service import main

main(service)
