"""Owns what the funding service is made of."""

from services.funding import api
from services.funding.consumers import subscribe
from services.funding.timers import TIMERS
from shared.service import Service

ABOUT = """
Ranks, reserves and awards, and follows each grant to its end. Staff tokens of the roles `officer` or `chair`.
"""

service = Service(name="funding", about=ABOUT, subscriptions=subscribe, routers=[api.router], timers=TIMERS)
