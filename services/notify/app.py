"""Owns what the notify service is made of."""

from services.notify import api, queue
from services.notify.consumers import subscribe
from services.notify.mailer import send_letters
from services.notify.settings import NotifySettings
from shared.service import Service

ABOUT = """
The letters to applicants: what was sent, what waits, what was refused, and how each letter reads. Staff tokens of the
role `support`.
"""

service = Service(
    name="notify",
    about=ABOUT,
    settings=NotifySettings,
    subscriptions=subscribe,
    routers=[api.router],
    work=[send_letters],
    letters_unsent=queue.letters_unsent,
)
