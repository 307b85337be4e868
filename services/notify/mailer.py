"""Owns the work loop that sends letters: look, claim, hand over, record; it decides no rule and writes no letter.

The order is the guarantee (`docs/design.md` §8.4): a letter is claimed before the server hears of it, and counts as
sent in the transaction that says so. Between the server's taking it and that commit it may be sent twice, with the
same Message-ID.
"""

import asyncio
import time
from contextlib import suppress

import structlog
from prometheus_client import Counter, Gauge

from services.notify import queue, reading
from services.notify.composing import Letters
from services.notify.domain.letters import missing
from services.notify.domain.replies import pause_s
from services.notify.ending import end_letter
from services.notify.line import Away, Line
from services.notify.posting import CONTACT_ERASED, Became, Post, Unsendable, Unwritten
from services.notify.reading import Claimed
from services.notify.recording import Ended, recorded_together
from services.notify.settings import NotifySettings
from services.notify.wake import heard
from shared.clock import business_now
from shared.crashpoints import crash_point
from shared.db import Database
from shared.health import Progress
from shared.ids import new_id
from shared.messaging.failures import Verdict, judge, reason_of
from shared.service import Runtime
from shared.tasks import end_tasks
from shared.telemetry import RETRIES

log = structlog.get_logger()

LETTERS = Counter("releve_letters_total", "Attempts at letters, by what became of them", ["template", "became"])
UNSENT = Gauge("releve_letters_unsent", "Letters that have not ended, by state", ["state"])
OLDEST = Gauge("releve_letters_oldest_seconds", "Age of the oldest letter in a state", ["state"])
UNENDED = ("incomplete", "waiting", "sending", "refused_for_now")
LOOK = 500
IDLE_LINE_S = 30.0


async def send_letters(runtime: Runtime) -> None:
    """Send letters for ever: the work loop of the service."""
    letters = await asyncio.to_thread(Letters, runtime.settings.public_url)
    mailer = Mailer(runtime.db, runtime.settings, letters)
    runtime.health.watch(mailer.progress)
    try:
        await mailer.run()
    finally:
        runtime.health.loops.remove(mailer.progress)


class Mailer:
    """The letters of one process: at most `mail_parallel` of them in the server's hands at a time."""

    def __init__(self, db: Database, settings: NotifySettings, letters: Letters) -> None:
        self.progress = Progress("mailer")
        self._db = db
        self._settings = settings
        self._post = Post(settings, letters)
        self._recording = recorded_together(db, self._post, settings.mail_parallel)
        self._calls = reading.Calls()
        helo, wait_s = settings.sender.domain, (settings.mail_connect_timeout_s, settings.mail_reply_timeout_s)
        self._idle = [Line(settings.mail_server, helo, *wait_s) for _ in range(settings.mail_parallel)]
        self._busy: dict[asyncio.Task[None], str] = {}
        self._wake = asyncio.Event()
        self._look_due = True
        """Whether facts or letters may have come since the last look; a line that got free is no reason for one."""
        self._looked_at = 0.0
        self._away_until = 0.0
        self._away_times = 0

    async def run(self) -> None:
        """Look and send until cancelled; letters in the server's hands then get a moment to end."""
        beside = [asyncio.create_task(heard(self._db, self._told)), asyncio.create_task(self._renew())]
        pause = self._settings.retry_first_s
        try:
            while True:
                try:
                    await self._round()
                    pause = self._settings.retry_first_s
                except Exception as failure:  # noqa: BLE001 - the database is away, or we are wrong: both wait and say so
                    pause = await self._held_up(failure, pause)
        finally:
            await end_tasks(beside)
            await self._finish()

    async def _round(self) -> None:
        # Cleared before looking: what comes after the look wakes the next round.
        self._wake.clear()
        await self._look_if_due()
        if self._idle and time.monotonic() >= self._away_until:
            claim_id = new_id()
            for letter in await self._claim(claim_id, len(self._idle)):
                task = asyncio.create_task(self._deliver(claim_id, letter, self._idle.pop()))
                self._busy[task] = claim_id
                task.add_done_callback(self._delivered)
        if self._away_times == 0:
            self.progress.succeeded()
        else:  # the round gets on; it is the mail server that does not answer
            self.progress.waiting(self.progress.problem or "the mail server is away")
        if not self._look_due:
            await self._until_woken()
        for line in self._idle:
            if time.monotonic() - line.used_at > IDLE_LINE_S:
                await line.leave()

    async def _until_woken(self) -> None:
        """Wait for a signal; after a while without one, go on and look anyway."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.mail_poll_s):
                await self._wake.wait()

    def _told(self) -> None:
        self._look_due = True
        self._wake.set()

    async def _look_if_due(self) -> None:
        due, self._look_due = self._look_due, False
        if due or time.monotonic() - self._looked_at >= self._settings.mail_poll_s:
            self._looked_at = time.monotonic()
            try:
                self._look_due = await self._look() == LOOK or self._look_due
            except Exception:
                self._look_due = True
                raise

    async def _look(self) -> int:
        """See which waiting letters have their facts now, and end those of erased contacts; how many were seen."""
        async with self._db.transaction() as tx:
            await queue.free_dead_claims(tx)
            held = await queue.incomplete(tx, LOOK)
            waits = {each.delivery_id: missing(each.template, each.facts) for each in held if not each.erased}
            if waits:
                await queue.judged(tx, waits)
            for each in held:
                if each.erased:
                    await end_letter(tx, each.delivery_id, "erased", business_now(), reason=CONTACT_ERASED)
        return len(held)

    async def _claim(self, claim_id: str, limit: int) -> list[Claimed]:
        async with self._db.transaction() as tx:
            ids = await queue.claim(tx, claim_id, limit, self._settings.mail_lease_s)
            return await reading.load(tx, self._calls, ids) if ids else []

    async def _deliver(self, claim_id: str, letter: Claimed, line: Line) -> None:
        started = time.perf_counter()
        crash_point("mail.claimed")
        try:
            became = await self._post.hand_over(letter, line)
            crash_point("mail.taken")
            self._server_seen(became)
            kept = await self._until_recorded(claim_id, letter, became)
        finally:
            self._idle.append(line)
        about, outcome = letter.facts.about, type(became).__name__.lower() if kept else "claim_lost"
        LETTERS.labels(letter.facts.template, outcome).inc()
        log.info(
            "notify.letter", delivery_id=letter.delivery_id, template=letter.facts.template,
            application_id=about.application_id if about else None, attempt=letter.attempts, outcome=outcome,
            duration_ms=round((time.perf_counter() - started) * 1000, 1),
        )  # fmt: skip

    async def _until_recorded(self, claim_id: str, letter: Claimed, became: Became) -> bool:
        """Record what became of a letter, whatever it takes: one that left unrecorded would be sent again."""
        pause = self._settings.retry_first_s
        while True:
            try:
                kept = await self._recording.written(Ended(claim_id, letter, became))
            except Exception as failure:  # noqa: BLE001 - judged: nothing may free this claim but its record
                pause = await self._held_up(failure, pause)
            else:
                crash_point("mail.recorded")
                return kept

    async def _held_up(self, failure: Exception, pause: float) -> float:
        """Say what keeps letters from being sent, wait, and give the next pause."""
        self.progress.failed(reason_of(failure), ours=judge(failure) is not Verdict.AGAIN)
        RETRIES.labels("mailer").inc()
        log.warning("notify.mailer_again", reason=reason_of(failure), pause_s=round(pause, 2))
        await asyncio.sleep(pause)
        return min(pause * 2, self._settings.retry_longest_s)

    def _server_seen(self, became: Became) -> None:
        """A server that is away is asked again with growing pauses, by one round for all letters."""
        if isinstance(became, Away):
            if time.monotonic() >= self._away_until:
                self._away_times += 1
                pause = pause_s(self._away_times, self._settings.retry_first_s, self._settings.retry_longest_s)
                self._away_until = time.monotonic() + pause
                log.warning("notify.mail_server_away", reason=became.reason, pause_s=round(pause, 2))
            self.progress.waiting(became.reason)
        elif not isinstance(became, Unsendable | Unwritten):
            self._away_times = 0

    def _delivered(self, task: asyncio.Task[None]) -> None:
        del self._busy[task]
        self._wake.set()
        if not task.cancelled() and (failure := task.exception()) is not None:
            log.error("notify.delivery_failed", reason=reason_of(failure))

    async def _renew(self) -> None:
        """Keep this process's claims while it lives, and say how many letters wait and for how long."""
        while True:
            await asyncio.sleep(self._settings.mail_lease_s / 3)
            try:
                async with self._db.transaction() as tx:
                    if self._busy:
                        await queue.renew(tx, set(self._busy.values()), self._settings.mail_lease_s)
                    states = await queue.unsent_by_state(tx)
            except Exception as failure:  # noqa: BLE001 - tried again in a moment; the round tells readiness
                log.warning("notify.claims_not_renewed", reason=reason_of(failure))
                continue
            for state in UNENDED:
                letters, oldest_s = states.get(state, (0, 0.0))
                UNSENT.labels(state).set(letters)
                OLDEST.labels(state).set(oldest_s)

    async def _finish(self) -> None:
        """Give letters in the server's hands a moment; what is cut off comes back when its lease ends."""
        tasks = list(self._busy)
        if tasks:
            await asyncio.wait(tasks, timeout=self._settings.mail_grace_s)
        await end_tasks(tasks)
        for line in self._idle:
            await line.leave()
