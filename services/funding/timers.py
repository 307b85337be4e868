"""Owns what funding does when a time comes: announce rounds, lapse grants, end waiting lists; it decides nothing."""

from services.funding.handlers import announcing, following, waiting_list
from shared.messaging.timers import Timer

# Announcements first: an offer that could not be told before its time must not lapse before it is told.
TIMERS = (
    Timer("announce", announcing.next_announcement, announcing.announce_due),
    Timer("list-ends", waiting_list.next_end, waiting_list.end_due),
    Timer("lapse", following.next_lapse, following.lapse_due),
)
