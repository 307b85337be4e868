"""Owns the settings that every service reads from its environment; never a rule of a call (those are the call file)."""

import os
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared import crashpoints
from shared.clock import is_simulated

DEFAULT_PORTS = {"intake": 8001, "review": 8002, "funding": 8003, "notify": 8004, "ops": 8005}
OWN_NAMES = ("port", "database_url", "owner_database_url")


class Settings(BaseSettings):
    """What is the same for all services. Times in seconds."""

    model_config = SettingsConfigDict(env_prefix="RELEVE_", extra="ignore", hide_input_in_errors=True)

    env: Literal["development", "production"] = "development"
    host: str = "127.0.0.1"
    public_url: str = "http://127.0.0.1:8001"
    """Where applicants find intake; links in letters begin with it."""
    kafka_bootstrap_servers: str = "127.0.0.1:9092"
    kafka_replication_factor: int = 1
    oidc_issuer: str = "http://127.0.0.1:9400"
    oidc_audience: str = "releve"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    batch_records: int = Field(default=500, ge=1)
    poll_ms: int = Field(default=500, ge=1)
    """How long a consumer waits for a record before it looks around; a record that comes ends the wait."""
    relay_rows: int = Field(default=2000, ge=1)
    gather_s: float = Field(default=0.02, ge=0)
    """Under load, what follows within this time goes together: the first event after a rest never waits for it."""
    gather_longest_s: float = Field(default=0.1, ge=0)
    """While events keep coming, that time doubles up to this one."""
    relay_poll_s: float = Field(default=0.5, gt=0)
    """How soon the relay looks by itself: only for a signal that was lost with its process."""
    timers_poll_s: float = Field(default=0.2, gt=0)
    send_timeout_s: float = Field(default=40, gt=0)
    retry_first_s: float = Field(default=0.1, gt=0)
    retry_longest_s: float = Field(default=10, gt=0)
    session_timeout_s: float = Field(default=10, gt=0)
    graceful_s: float = Field(default=6, gt=0)
    """How long requests under way, and after them batches and letters under way, may take when the process ends."""
    end_within_s: float = Field(default=18, gt=0)
    """The process is gone so long after it was asked to end, whatever it waits for: what was cut off comes again."""
    watchdog_every_s: float = Field(default=2, gt=0)
    stuck_after_s: float = Field(default=22, gt=0)
    """How long a loop may get nothing done before its process is looked at."""
    answering_for_s: float = Field(default=14, ge=0)
    """How long its dependencies must have answered before it is ended; half of it, at least, it is named as stuck."""
    pool_size: int = Field(default=8, ge=1)
    statement_timeout_s: float = Field(default=30, gt=0)
    connect_timeout_s: float = Field(default=10, gt=0)
    pool_wait_s: float = Field(default=10, gt=0)
    """How long a request or a batch waits for a free connection to the database."""

    @model_validator(mode="after")
    def _nothing_for_tests_in_production(self) -> "Settings":
        if self.env == "production" and is_simulated():
            raise ValueError("RELEVE_CLOCK_FILE: a simulated clock is refused when RELEVE_ENV=production")
        if self.env == "production" and crashpoints.is_armed():
            raise ValueError(f"{crashpoints.ENVIRONMENT_VARIABLE} is refused when RELEVE_ENV=production")
        return self


class ServiceSettings(Settings):
    """What one service also reads under its own name, such as RELEVE_INTAKE_DATABASE_URL."""

    port: int = 0
    database_url: SecretStr = SecretStr("")
    owner_database_url: SecretStr | None = None

    @classmethod
    def load(cls, service: str) -> Self:
        """Read the environment for one service. Raises pydantic.ValidationError naming the variable's field."""
        prefix = f"RELEVE_{service.upper()}_"
        named = {name: os.environ[prefix + name.upper()] for name in OWN_NAMES if prefix + name.upper() in os.environ}
        return cls.model_validate({"port": DEFAULT_PORTS[service], **named})

    @property
    def migration_url(self) -> str:
        """The address by which migrations run: the owner's, or the runtime role's if no owner is named."""
        return (self.owner_database_url or self.database_url).get_secret_value()
