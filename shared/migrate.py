"""Owns how a service's schema comes to its database: Alembic, as the owner role, one folder of versions per service."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError

ROOT = Path(__file__).resolve().parent.parent


class NotMigrated(Exception):
    """The server refused a migration; the message is its reason, which holds no values."""

    def __init__(self, service: str, reason: str) -> None:
        super().__init__(f"The database of {service} could not be migrated: {reason}")
        self.service = service


def configuration(service: str, owner_url: str) -> Config:
    """The Alembic configuration of one service."""
    config = Config()
    config.set_main_option("script_location", str(ROOT / "shared" / "migrations"))
    config.set_main_option("version_locations", str(ROOT / "services" / service / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = owner_url
    return config


def migrate(service: str, owner_url: str, runtime_url: str) -> None:
    """Bring a database to the newest schema and give the runtime role what it needs, which is less than ownership.

    A service's own migrations take rights away again where the runtime role must not write (funding's ledger).
    Raises NotMigrated, OSError.
    """
    config = configuration(service, owner_url)
    config.attributes["runtime_role"] = make_url(runtime_url).username
    try:
        command.upgrade(config, "head")
    except DBAPIError as error:
        raise NotMigrated(service, str(error.orig).partition(">: ")[2] or str(error.orig)) from error
