"""The public language of Relevé: every event that a service may say, the call file, and the declared topics.

Import the modules of the emitting services from here; importing this package registers every event type.
"""

from shared.events import funding, intake, notify, ops, review
from shared.events.base import EVENT_TYPES, CallEvent, Event
from shared.events.call import Call

__all__ = ["EVENT_TYPES", "Call", "CallEvent", "Event", "funding", "intake", "notify", "ops", "review"]
