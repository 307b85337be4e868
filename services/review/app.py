"""Owns what the review service is made of; it starts nothing by itself."""

from services.review.api import officers, reviewers
from services.review.consumers import subscribe
from shared.service import Service

service = Service(name="review", subscriptions=subscribe, routers=[reviewers.router, officers.router])
