"""Owns what a mail server's answer means for a letter: again and when, or never; it speaks to no server."""

import re
from dataclasses import dataclass

PERMANENT = 500
FURTHEST_DOUBLING = 30
ENHANCED = re.compile(r"\b[245]\.\d{1,3}\.\d{1,3}\b")


@dataclass(frozen=True)
class Again:
    """The letter is tried again after a pause, seconds; the reason is the reply's codes."""

    pause_s: float
    reason: str


@dataclass(frozen=True)
class Never:
    """The letter will not be sent, and why, without the address that the server's words may quote."""

    reason: str


def pause_s(attempts: int, first_s: float, longest_s: float) -> float:
    """The pause after so many attempts: doubling from the first, up to the longest."""
    return float(min(longest_s, first_s * 2 ** min(max(attempts - 1, 0), FURTHEST_DOUBLING)))


def reason_of_reply(code: int, text: str) -> str:
    """A reply as its codes alone, such as `550 5.1.1` (RFC 5321, RFC 3463): its words may quote the address."""
    enhanced = ENHANCED.search(text)
    return f"{code} {enhanced.group()}" if enhanced else str(code)


def after_refusal(
    code: int,
    text: str,
    attempts: int,
    refused_for_s: float,
    *,
    first_s: float,
    longest_s: float,
    give_up_after_s: float,
) -> Again | Never:
    """4xx: again with growing pauses until `give_up_after_s` of refusals; 5xx: never (RFC 5321 §4.5.4.1)."""
    reason = reason_of_reply(code, text)
    if code >= PERMANENT:
        return Never(reason)
    if refused_for_s >= give_up_after_s:
        return Never(f"refused for too long, last {reason}")
    return Again(pause_s(attempts, first_s, longest_s), reason)
