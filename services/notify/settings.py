"""Owns the settings of notify beyond those that every service has; times in seconds."""

from dataclasses import dataclass, field
from email.headerregistry import Address
from email.utils import parseaddr
from typing import Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, field_validator

from services.notify.domain.headers import header_value
from shared.config import ServiceSettings

PORTS = {"smtp": 25, "smtps": 465}
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class MailServer:
    """A mail server: its place, and how to be let in. With `tls` required a password never goes in the clear."""

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    tls: Literal["implicit", "required", "offered"] = "offered"


class NotifySettings(ServiceSettings):
    """What notify reads from its environment, such as RELEVE_SMTP_URL and RELEVE_MAIL_FROM."""

    smtp_url: SecretStr = SecretStr("smtp://127.0.0.1:1025")
    """`smtp://[user:password@]host[:port]`, or `smtps://` for TLS from the start."""
    mail_from: str = "Relevé <no-reply@releve.example>"
    mail_parallel: int = Field(default=4, ge=1, le=64)
    """Letters handed over at the same time, each on a connection of its own."""
    mail_poll_s: float = Field(default=0.5, gt=0)
    mail_connect_timeout_s: float = Field(default=30, gt=0)
    mail_reply_timeout_s: float = Field(default=600, gt=0)
    """RFC 5321 §4.5.3.2.6: ten minutes for the reply after DATA."""
    mail_lease_s: float = Field(default=15, gt=0)
    """A claim that nobody renewed for so long is free again: its process is gone."""
    mail_retry_first_s: float = Field(default=60, gt=0)
    mail_retry_longest_s: float = Field(default=3600, gt=0)
    mail_give_up_after_s: float = Field(default=5 * 86400, gt=0)
    mail_grace_s: float = Field(default=5, ge=0)
    """How long letters in the server's hands may take when the process ends."""

    @field_validator("mail_from")
    @classmethod
    def _one_address(cls, value: str) -> str:
        name, address = parseaddr(header_value("RELEVE_MAIL_FROM", value))
        Address(name, addr_spec=address)
        return value

    @field_validator("smtp_url")
    @classmethod
    def _smtp(cls, value: SecretStr) -> SecretStr:
        parts = urlsplit(value.get_secret_value())
        if parts.scheme not in PORTS or not parts.hostname:
            raise ValueError("smtp://host:port or smtps://host:port")
        return value

    @property
    def sender(self) -> Address:
        """Who letters come from."""
        name, address = parseaddr(self.mail_from)
        return Address(name, addr_spec=address)

    @property
    def mail_server(self) -> MailServer:
        """Where letters are handed over."""
        parts = urlsplit(self.smtp_url.get_secret_value())
        host, user = parts.hostname or "", unquote(parts.username or "")
        tls: Literal["implicit", "required", "offered"] = "offered"
        if parts.scheme == "smtps":
            tls = "implicit"
        elif user and host not in LOOPBACK:
            tls = "required"
        return MailServer(host, parts.port or PORTS[parts.scheme], user, unquote(parts.password or ""), tls)
