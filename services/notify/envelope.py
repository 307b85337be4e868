"""Owns the message that a letter travels as: its headers, its two forms, its one recipient; it connects to nothing."""

from dataclasses import dataclass
from datetime import datetime
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

from services.notify.composing import Letter
from services.notify.domain.headers import header_value
from services.notify.reading import Contact

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
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = _recipient(name, address)
    message["Subject"] = header_value("Subject", letter.subject)
    message["Date"] = now
    message["Message-ID"] = message_id
    message["Auto-Submitted"] = "auto-generated"
    message["X-Releve-Template"] = template
    message.set_content(letter.text, cte="quoted-printable")
    message.add_alternative(letter.html, subtype="html", cte="quoted-printable")
    # Last: what is set before is moved into the first part.
    message["Content-Language"] = contact.language
    return Envelope(message, sender.addr_spec, address)


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
