"""Runs the notify service: `python -m services.notify [migrate] [--role ROLE]`."""

from services.notify.app import service
from shared.service import main

main(service)
