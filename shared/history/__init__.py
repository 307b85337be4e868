"""The past as values: every recorded event of a system, folded into states, balances, invariants and traces."""

from shared.history.fold import Application, Letter, fold
from shared.history.invariants import INVARIANTS, Finding, findings, invariants
from shared.history.recorded import Erased, History, Recorded, Unreadable, instant_of, recorded_of
from shared.history.summary import Summary, summarise

__all__ = [
    "INVARIANTS",
    "Application",
    "Erased",
    "Finding",
    "History",
    "Letter",
    "Recorded",
    "Summary",
    "Unreadable",
    "findings",
    "fold",
    "instant_of",
    "invariants",
    "recorded_of",
    "summarise",
]
