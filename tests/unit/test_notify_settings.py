"""Where letters go and who they come from, as the environment says it."""

from typing import Any

import pytest
from pydantic import ValidationError

from services.notify.settings import MailServer, NotifySettings


def server(url: str) -> MailServer:
    return NotifySettings(database_url="postgresql://x", smtp_url=url).mail_server


def test_a_mail_server_is_named_by_one_address() -> None:
    assert server("smtp://127.0.0.1:1025") == MailServer("127.0.0.1", 1025)
    assert server("smtps://mail.example") == MailServer("mail.example", 465, tls="implicit")
    assert server("smtp://us%40er:p%3Aw@mail.example:587") == MailServer(
        "mail.example", 587, "us@er", "p:w", "required"
    )


def test_a_password_is_not_shown() -> None:
    settings = NotifySettings(database_url="postgresql://x", smtp_url="smtp://user:geheim@mail.example")
    assert "geheim" not in f"{settings!r} {settings.mail_server!r}"


@pytest.mark.parametrize("wrong", [{"smtp_url": "http://x"}, {"smtp_url": "smtp://"}, {"mail_from": "nobody"},
                                   {"mail_from": "A\r\nBcc: b@c.example <a@b.example>"}])  # fmt: skip
def test_what_cannot_be_an_address_is_refused_at_the_start(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        NotifySettings(database_url="postgresql://x", **wrong)
