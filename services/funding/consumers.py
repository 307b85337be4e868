"""Owns which events funding takes from intake and review, and by which handler; it does nothing else."""

from services.funding.handlers import following, publishing, receiving
from shared.events.intake import (
    ApplicationSubmitted,
    ApplicationWithdrawn,
    CallPublished,
    GrantAccepted,
    GrantDeclined,
    RoundClosed,
)
from shared.events.review import ApplicationInadmissible, Scored, ScoreVoided
from shared.messaging.subscriptions import Subscriptions

subscribe = Subscriptions("funding")

subscribe(CallPublished)(publishing.take_in_calls)
subscribe(ApplicationSubmitted)(receiving.take_in_submissions)
subscribe(ApplicationWithdrawn)(receiving.take_in_withdrawals)
subscribe(RoundClosed)(receiving.take_in_closings)
subscribe(GrantAccepted)(following.take_in_acceptances)
subscribe(GrantDeclined)(following.take_in_refusals)
subscribe(ApplicationInadmissible)(receiving.take_in_refusals)
subscribe(Scored)(receiving.take_in_scores)
subscribe(ScoreVoided)(receiving.take_in_voids)
