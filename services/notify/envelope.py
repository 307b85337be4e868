"""Owns the message that a letter travels as: its headers, its two forms, its one recipient; it connects to nothing."""

from binascii import b2a_qp
from dataclasses import dataclass
from datetime import datetime
from email.errors import HeaderParseError
from email.headerregistry import Address, HeaderRegistry
from email.message import EmailMessage
from email.policy import SMTP, EmailPolicy
from functools import lru_cache
from typing import Any

from services.notify.composing import Letter
from services.notify.domain.headers import header_value
from services.notify.reading import Contact


class _Classes(HeaderRegistry):
    """The classes of headers, each made once: the registry makes one for every look."""

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[str, type] = {}

    def __getitem__(self, name: str) -> type:
        """The class of a header."""
        known = self._made.get(name)
        if known is None:
            known = self._made[name] = super().__getitem__(name)
        return known


class _Written(str):
    """A header that is the same in many letters, parsed and folded once."""

    __slots__ = ("folded", "name")

    name: str
    folded: str

    def fold(self, **_policy: EmailPolicy) -> str:
        """The header as it travels: in ASCII, as every policy of SMTP may have it."""
        return self.folded


@lru_cache(maxsize=512)
def _written(name: str, value: str) -> tuple[str, _Written]:
    stored, parsed = SMTP.header_store_parse(name, value)
    written = _Written(parsed)
    written.name = stored
    written.folded = SMTP.fold(stored, parsed)
    return stored, written


class _Remembering(EmailPolicy):
    """The policy of SMTP, which writes a header that is the same in many letters once."""

    def header_store_parse(self, name: str, value: Any) -> tuple[str, Any]:
        """A header as it is stored."""
        alike = name in ALIKE and isinstance(value, str)
        return _written(name, value) if alike else super().header_store_parse(name, value)


REMEMBERING = _Remembering(linesep="\r\n", header_factory=_Classes())
ALIKE = frozenset({
    "From", "Auto-Submitted", "X-Releve-Template", "Content-Language", "MIME-Version", "Content-Type",
    "Content-Transfer-Encoding",
})  # fmt: skip
BOUNDARY = "=_releve"
"""Between the two forms of a letter: quoted-printable never has `=_` (RFC 2045 §6.7), so that none can hold it."""
SPECIALS = frozenset('()<>[]:;@\\,"')
"""What an unquoted address holds only as its one `@` (RFC 5322 §3.2.3)."""


class AddressRefused(Exception):
    """The contact's address is none that mail can be sent to. The address itself is never quoted."""

    def __init__(self) -> None:
        super().__init__("the address is not one that mail can be sent to")


@dataclass(frozen=True)
class Envelope:
    """A message ready for the server, for one recipient."""

    message: EmailMessage
    sender: str
    recipient: str


def seal(letter: Letter, template: str, message_id: str, sender: Address, contact: Contact, now: datetime) -> Envelope:
    """Put a letter in its envelope. Raises HeaderRefused, AddressRefused."""
    name = header_value("the recipient's name", contact.name)
    address = header_value("the recipient's address", contact.email)
    message = EmailMessage(policy=REMEMBERING)
    # A domain beyond ASCII is written in UTF-8 where the server takes that, and is not remembered.
    message["From"] = str(sender) if sender.addr_spec.isascii() else sender
    message["To"] = _recipient(name, address)
    message["Subject"] = header_value("Subject", letter.subject)
    message["Date"] = now
    message["Message-ID"] = message_id
    message["Auto-Submitted"] = "auto-generated"
    message["X-Releve-Template"] = template
    message["Content-Language"] = contact.language
    message["MIME-Version"] = "1.0"
    message["Content-Type"] = f'multipart/alternative; boundary="{BOUNDARY}"'
    message.attach(_part(letter.text, "plain"))
    message.attach(_part(letter.html, "html"))
    return Envelope(message, sender.addr_spec, address)


def _part(content: str, subtype: str) -> EmailMessage:
    """One form of the letter, quoted-printable (RFC 2045 §6.7): `set_content` writes the same ten times as slowly."""
    part = EmailMessage(policy=REMEMBERING)
    part["Content-Type"] = f'text/{subtype}; charset="utf-8"'
    part["Content-Transfer-Encoding"] = "quoted-printable"
    lines = content.rstrip("\n").replace("\r\n", "\n").replace("\r", "\n")
    part.set_payload(b2a_qp(f"{lines}\n".encode()).decode("ascii"))
    return part


def _recipient(name: str, address: str) -> Address:
    try:
        if address.isascii():
            return Address(name, addr_spec=address)
    except (ValueError, IndexError, HeaderParseError):
        raise AddressRefused from None
    # The parser refuses a local part beyond ASCII (RFC 6531); whether the server takes it is the server's to say.
    local, _, domain = address.rpartition("@")
    if not local or not domain or any(each in SPECIALS or each.isspace() for each in address.replace("@", "", 1)):
        raise AddressRefused
    return Address(name, username=local, domain=domain)
