"""Owns what the funding service is made of."""

from services.funding import api
from services.funding.consumers import subscribe
from services.funding.timers import TIMERS
from shared.service import Service

service = Service(name="funding", subscriptions=subscribe, routers=[api.router], timers=TIMERS)
