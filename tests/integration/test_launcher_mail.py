"""The local mail catcher keeps what it is sent, and fails by order of a test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from cli.verify.evidence import received_message_ids
from deploy.local.mail import ORDERS_VARIABLE, Keep, catch
from deploy.local.ports import choose_ports


@pytest.fixture
async def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setenv(ORDERS_VARIABLE, str(tmp_path / "orders"))
    chosen = choose_ports(["mail"])["mail"]
    async with await catch(tmp_path, "127.0.0.1", chosen):
        yield chosen


async def send(port: int) -> None:
    letter = EmailMessage()
    letter["From"], letter["To"], letter["Subject"] = "a@example.org", "b@example.org", "Reçu"
    letter.set_content("Bonjour")
    await aiosmtplib.send(letter, hostname="127.0.0.1", port=port)


def kept(folder: Path) -> int:
    return len(list(folder.glob("*.eml")))


def drafts(folder: Path) -> int:
    return len(list(folder.glob("*.draft")))


def put_away(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


def put_back(folder: Path) -> None:
    folder.with_name("elsewhere").rename(folder)


async def test_each_order_is_obeyed_once_and_in_order(port: int, tmp_path: Path) -> None:
    (tmp_path / "orders").write_text("rcpt 550 5.1.1 Nobody\nletter 451 4.7.1 Later\nletter resets", encoding="utf-8")
    with pytest.raises(aiosmtplib.SMTPRecipientsRefused, match="Nobody"):
        await send(port)
    with pytest.raises(aiosmtplib.SMTPDataError, match="Later"):
        await send(port)
    assert kept(tmp_path) == 0
    with pytest.raises(aiosmtplib.SMTPServerDisconnected):
        await send(port)
    await send(port)
    assert kept(tmp_path) == 2


async def test_a_letter_that_a_full_disk_cannot_keep_is_put_off_and_not_refused_for_good(
    port: int, tmp_path: Path
) -> None:
    put_away(tmp_path)
    with pytest.raises(aiosmtplib.SMTPDataError, match="Not kept") as put_off:
        await send(port)
    assert put_off.value.code == 452
    put_back(tmp_path)
    await send(port)
    assert kept(tmp_path) == 1


async def test_a_letter_whose_catcher_was_killed_while_it_wrote_was_never_received(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    keep, envelope = Keep(tmp_path), Envelope()
    envelope.original_content = b"Message-ID: <1@example.org>\r\n\r\nBonjour"
    monkeypatch.setattr(Path, "rename", killed)
    server = SMTP(keep)
    with pytest.raises(Killed):
        await keep.handle_DATA(server, Session(server.loop), envelope)
    assert drafts(tmp_path) == 1
    assert received_message_ids(tmp_path) == set()
