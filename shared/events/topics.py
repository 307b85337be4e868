"""The one declared list of topics: key, retention, emitter, readers; topics, rights and AsyncAPI are made from it."""

from dataclasses import dataclass
from typing import Literal

SERVICES = ("intake", "review", "funding", "notify", "ops")
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
FOR_GOOD = -1
DEFAULT_PARTITIONS = 12


@dataclass(frozen=True)
class Topic:
    """A declared topic. `retention_ms` -1 keeps for good; `keys` say what its records are keyed by."""

    name: str
    keys: tuple[str, ...]
    emitter: str
    readers: tuple[str, ...]
    events: tuple[str, ...]
    retention_ms: int = FOR_GOOD
    cleanup: Literal["delete", "compact"] = "delete"
    partitions: int = DEFAULT_PARTITIONS
    personal: bool = False
    ordered: bool = True
    """Whether a record that cannot be handled holds up what follows it under its key."""

    @property
    def configuration(self) -> dict[str, str]:
        """The broker's settings of this topic."""
        settings = {"cleanup.policy": self.cleanup, "retention.ms": str(self.retention_ms)}
        # Packed by a codec that a reader has not, one record would hold its partition up: the broker unpacks all.
        settings |= {"compression.type": "uncompressed"}
        if self.cleanup == "compact":
            # An erased address must leave the log within a day; its tombstone outlives a notify away for a month.
            settings |= {"max.compaction.lag.ms": str(DAY_MS), "delete.retention.ms": str(30 * DAY_MS)}
        return settings


def _dead_letters(service: str) -> Topic:
    said = ("EventQuarantined", "QuarantineLifted")
    return Topic(f"{service}.dead-letters", ("origin_key",), service, ("ops",), said)


TOPICS: tuple[Topic, ...] = (
    Topic("intake.calls", ("call_id",), "intake", ("review", "funding", "notify", "ops"), ("CallPublished",)),
    Topic(
        "intake.applications",
        ("application_id", "round_id"),
        "intake",
        ("review", "funding", "notify", "ops"),
        ("ApplicationSubmitted", "ApplicationWithdrawn", "GrantAccepted", "GrantDeclined", "RoundClosed"),
    ),
    Topic(
        "intake.contacts",
        ("applicant_id",),
        "intake",
        ("notify",),
        ("ContactUpdated",),
        cleanup="compact",
        personal=True,
    ),
    Topic("intake.sign-ins", ("applicant_id",), "intake", ("notify",), ("SignInRequested",), HOUR_MS, personal=True),
    Topic(
        "review.scores",
        ("application_id",),
        "review",
        ("funding", "intake", "notify", "ops"),
        ("ApplicationAdmitted", "ApplicationInadmissible", "Scored", "ScoreVoided"),
    ),
    Topic(
        "funding.grants",
        ("application_id", "round_id", "call_id"),
        "funding",
        ("intake", "notify", "ops"),
        (
            "GrantAwarded",
            "ApplicationWaitlisted",
            "ApplicationNotSelected",
            "ConventionSigned",
            "ProjectStarted",
            "ProjectCompleted",
            "GrantReleased",
            "RoundDecided",
            "RoundAnnounced",
            "OutcomeAnnounced",
            "EnvelopeSet",
        ),
    ),
    Topic(
        "notify.deliveries",
        ("application_id",),
        "notify",
        ("intake", "ops"),
        ("ApplicantNotified", "NotificationFailed"),
    ),
    Topic(
        "ops.commands",
        ("service",),
        "ops",
        SERVICES,
        ("ReplayRequested", "DismissalRequested"),
        7 * DAY_MS,
        ordered=False,
    ),
    *(_dead_letters(service) for service in SERVICES),
)

BY_NAME: dict[str, Topic] = {topic.name: topic for topic in TOPICS}
