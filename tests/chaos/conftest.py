"""Fixtures of the tests of faults: the message tables alone, as the integration tests have them."""

from tests.integration.conftest import messaging_database

__all__ = ["messaging_database"]
