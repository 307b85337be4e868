"""Owns what the notify service is made of."""

from services.notify import api, queue
from services.notify.consumers import subscribe
from services.notify.mailer import send_letters
from services.notify.settings import NotifySettings
from shared.service import Service

service = Service(
    name="notify",
    settings=NotifySettings,
    subscriptions=subscribe,
    routers=[api.router],
    work=[send_letters],
    letters_unsent=queue.letters_unsent,
)
