"""Owns what the review service is made of; it starts nothing by itself."""

from services.review.api import officers, reviewers
from services.review.consumers import subscribe
from shared.service import Service

ABOUT = """
Admissibility, evaluations and scores. Staff tokens only: `reviewer` for one's assignments, conflicts and evaluations,
`officer` for admissibility, `chair` for reviewers, assignments by hand, waivers and arbitration.
"""

service = Service(name="review", about=ABOUT, subscriptions=subscribe, routers=[reviewers.router, officers.router])
