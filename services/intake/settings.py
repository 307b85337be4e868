"""Owns the settings of intake beyond those that every service has; times in seconds."""

from typing import Self

from pydantic import Field, SecretStr, model_validator

from shared.config import ServiceSettings

DEVELOPMENT_SECRET = "relevé: a secret for development, never for production"  # noqa: S105 - refused in production


class IntakeSettings(ServiceSettings):
    """What intake reads from its environment, such as RELEVE_ACCESS_SECRET."""

    access_secret: SecretStr = Field(default=SecretStr(DEVELOPMENT_SECRET), min_length=32)
    """The key of applicants' access tokens; a new one makes every token given before worthless."""
    request_longest_s: float = Field(default=30, gt=0)
    """No submission takes longer: a round closes that long after its grace."""
    submissions_a_commit: int = Field(default=64, ge=1)
    """How many submissions share one transaction at most."""
    submissions_waiting: int = Field(default=2000, ge=1)
    """How many may wait for their transaction; who comes then is asked to come back."""
    submissions_bytes: int = Field(default=256 * 1024 * 1024, ge=1)
    """How many bytes of bodies may be read or wait at once; who comes then is asked to come back too."""
    sign_in_link_s: float = Field(default=900, gt=0)
    """How long a sign-in link holds."""
    session_s: float = Field(default=8 * 3600, gt=0)
    """How long a person stays signed in."""

    @model_validator(mode="after")
    def _own_secret_in_production(self) -> Self:
        if self.env == "production" and self.access_secret.get_secret_value() == DEVELOPMENT_SECRET:
            raise ValueError("RELEVE_ACCESS_SECRET: name a secret of your own when RELEVE_ENV=production")
        return self
