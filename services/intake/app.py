"""Owns what intake is made of."""

from datetime import timedelta

from services.intake import api, pages
from services.intake.access import Access
from services.intake.consumers import subscribe
from services.intake.handlers.close import RoundClosing
from services.intake.handlers.submit import Desk, Limits
from services.intake.pages import layout
from services.intake.settings import IntakeSettings
from services.intake.store.calls import PublishedCalls
from shared.messaging.timers import Timer
from shared.service import Runtime, Service

closing = RoundClosing()


async def open_desk(runtime: Runtime) -> None:
    """Put together what requests need, from the process's settings."""
    settings: IntakeSettings = runtime.settings
    closing.request_longest = timedelta(seconds=settings.request_longest_s)
    access = Access(settings.access_secret.get_secret_value().encode())
    limits = Limits(
        settings.submissions_a_commit,
        settings.submissions_waiting,
        settings.submissions_bytes,
        settings.request_longest_s,
    )
    runtime.parts["desk"] = Desk(
        runtime.db, PublishedCalls(), access, limits, reserved_domains=settings.env != "production"
    )


ABOUT = """
Takes applications in, and tells what became of them. Calls, laureates and the deposit are open to all. The routes of
one application take the `access_token` that its deposit was answered with (scheme `application`). Publishing a call
takes a staff token of the role `administrator`.
"""

service = Service(
    name="intake",
    about=ABOUT,
    subscriptions=subscribe,
    settings=IntakeSettings,
    routers=[api.router, pages.router],
    pages=layout.pages,
    timers=[Timer("close-rounds", closing.next_due, closing.run)],
    open=open_desk,
)
