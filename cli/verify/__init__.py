"""Whether a system did what it promised: topics, databases, mail and what clients were answered, held side by side."""

from cli.verify.checks import CHECKS, verify
from cli.verify.evidence import Answer, Evidence, gather

__all__ = ["CHECKS", "Answer", "Evidence", "gather", "verify"]
