"""Owns which events notify takes, and by which handler; it does nothing else."""

from services.notify import handlers
from shared.events.funding import (
    ApplicationNotSelected,
    ApplicationWaitlisted,
    GrantAwarded,
    GrantReleased,
    OutcomeAnnounced,
)
from shared.events.intake import (
    ApplicationSubmitted,
    ApplicationWithdrawn,
    CallPublished,
    ContactUpdated,
    SignInRequested,
)
from shared.events.review import ApplicationInadmissible, Scored
from shared.messaging.subscriptions import Subscriptions

subscribe = Subscriptions("notify")

subscribe(CallPublished)(handlers.take_in_calls)
subscribe(ApplicationSubmitted)(handlers.receipt_submissions)
subscribe(ApplicationWithdrawn)(handlers.acknowledge_withdrawals)
subscribe(ContactUpdated)(handlers.take_in_contacts)
subscribe.erased(ContactUpdated)(handlers.erase_contacts)
subscribe(SignInRequested)(handlers.send_links)
subscribe(ApplicationInadmissible)(handlers.take_in_inadmissible)
subscribe(Scored)(handlers.take_in_scores)
subscribe(GrantAwarded)(handlers.take_in_awards)
subscribe(ApplicationWaitlisted)(handlers.take_in_waitlisted)
subscribe(ApplicationNotSelected)(handlers.take_in_not_selected)
subscribe(GrantReleased)(handlers.tell_releases)
subscribe(OutcomeAnnounced)(handlers.tell_outcomes)
