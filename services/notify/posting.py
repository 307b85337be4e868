"""Owns what happens to one claimed letter: written, handed over, and its answer recorded; it claims none itself."""

from dataclasses import dataclass
from datetime import datetime

import structlog

from services.notify import queue
from services.notify.composing import Letters
from services.notify.domain.headers import HeaderRefused
from services.notify.domain.letters import End
from services.notify.domain.replies import Never, after_refusal, pause_s
from services.notify.ending import end_letter
from services.notify.envelope import AddressRefused, seal
from services.notify.line import Answer, Away, Line, Lost, Refused, Taken
from services.notify.reading import Claimed
from services.notify.settings import NotifySettings
from shared.clock import business_now
from shared.db import Transaction

log = structlog.get_logger()

CONTACT_ERASED = "contact_erased"


@dataclass(frozen=True)
class Unsendable:
    """The letter can be sent to nobody, and why."""

    reason: str


@dataclass(frozen=True)
class Unwritten:
    """The letter could not be written: our mistake, so it waits for a better program."""


Became = Answer | Unsendable | Unwritten


class Post:
    """Writes letters and hands them over; the rules of what an answer means are `domain/replies.py`."""

    def __init__(self, settings: NotifySettings, letters: Letters) -> None:
        self._settings = settings
        self._letters = letters

    async def hand_over(self, letter: Claimed, line: Line) -> Became:
        """Write a letter and give it to the mail server; what became of it."""
        contact, template = letter.contact, letter.facts.template
        if contact is None:
            return Unsendable(CONTACT_ERASED)
        if _expired(letter, business_now()):
            return Unsendable("link_expired")
        try:
            written = self._letters.compose(letter.facts, contact)
            envelope = seal(
                written, template, letter.message_id, self._settings.sender, contact, business_now()
            )  # fmt: skip
        except HeaderRefused:
            return Unsendable("header_refused")
        except AddressRefused:
            return Unsendable("address_refused")
        except Exception as mistake:  # noqa: BLE001 - whatever a template does wrong must not cost the letter
            # Not the trace: it would quote the letter.
            log.error("notify.letter_not_written", delivery_id=letter.delivery_id, mistake=type(mistake).__name__)  # noqa: TRY400
            return Unwritten()
        return await line.hand_over(envelope)

    async def record(self, tx: Transaction, claim_id: str, letter: Claimed, became: Became) -> bool:
        """Record what became of a letter, in one transaction with its event; False if the claim was lost."""
        match became:
            case Taken():
                return await self._end(tx, claim_id, letter, "sent")
            case Unsendable(reason):
                state: End = "erased" if reason == CONTACT_ERASED else "refused_for_good"
                return await self._end(tx, claim_id, letter, state, reason)
            case Refused(code, text):
                return await self._refused(tx, claim_id, letter, code, text)
            case Lost(reason):
                await self._again(tx, claim_id, letter, reason)
            case Unwritten():
                await self._again(tx, claim_id, letter, "not_written")
            case Away(reason):
                await queue.postpone(tx, letter.delivery_id, claim_id, 0, reason=reason, counted=False)
        return True

    async def _refused(self, tx: Transaction, claim_id: str, letter: Claimed, code: int, text: str) -> bool:
        settings = self._settings
        then = after_refusal(
            code, text, letter.attempts, letter.refused_for_s, first_s=settings.mail_retry_first_s,
            longest_s=settings.mail_retry_longest_s, give_up_after_s=settings.mail_give_up_after_s,
        )  # fmt: skip
        if isinstance(then, Never):
            return await self._end(tx, claim_id, letter, "refused_for_good", then.reason)
        await queue.postpone(tx, letter.delivery_id, claim_id, then.pause_s, reason=then.reason, refused=True)
        return True

    async def _again(self, tx: Transaction, claim_id: str, letter: Claimed, reason: str) -> None:
        pause = pause_s(letter.attempts, self._settings.mail_retry_first_s, self._settings.mail_retry_longest_s)
        await queue.postpone(tx, letter.delivery_id, claim_id, pause, reason=reason)

    async def _end(
        self, tx: Transaction, claim_id: str, letter: Claimed, state: End, reason: str | None = None
    ) -> bool:
        language = letter.contact.language if letter.contact else None
        return await end_letter(
            tx, letter.delivery_id, state, business_now(), claim_id=claim_id, reason=reason, language=language
        )  # fmt: skip


def _expired(letter: Claimed, now: datetime) -> bool:
    """Whether a sign-in link would arrive too late to be of use."""
    expires_at = letter.facts.words.get("expires_at")
    return expires_at is not None and datetime.fromisoformat(expires_at) <= now
