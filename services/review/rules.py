"""Owns the translation of a call file and a stored dossier into the values that the rules take; it decides nothing."""

from services.review.domain.admissibility import Check, Conditions, Deposit
from services.review.domain.evaluation import Frame
from services.review.domain.scoring import Rubric
from services.review.store.applications import Application
from shared.events.call import Call


def conditions_of(call: Call) -> Conditions:
    """What the call asks of an application."""
    return Conditions(
        checks=tuple(Check(check.id, check.machine) for check in call.admissibility),
        kinds={kind.id: kind.partner_required for kind in call.kinds},
        themes=frozenset(theme.id for theme in call.themes),
        min_eur=call.grant.min_eur,
        max_eur=call.grant.max_eur,
        ends_by=call.project.ends_by,
        applications_per_organisation=call.applications_per_organisation,
    )


def rubric_of(call: Call) -> Rubric:
    """How the call scores."""
    return Rubric(
        weights={criterion.id: criterion.weight for criterion in call.rubric.criteria},
        reviewers_per_application=call.rubric.reviewers_per_application,
        max_spread=call.rubric.max_spread,
    )


def frame_of(call: Call, application: Application) -> Frame:
    """What an evaluation of the application must fit."""
    criteria = tuple(criterion.id for criterion in call.rubric.criteria)
    return Frame(criteria, min(call.grant.min_eur, application.requested_eur), application.requested_eur)


def deposit_of(application: Application, place: int | None) -> Deposit:
    """What the built-in checks look at; `place` as in `Deposit`."""
    dossier = application.dossier
    return Deposit(
        kind=dossier.organisation.kind,
        has_partner=dossier.organisation.partner is not None,
        themes=frozenset(dossier.project.themes),
        requested_eur=application.requested_eur,
        starts_on=dossier.project.starts_on,
        ends_on=dossier.project.ends_on,
        place=place,
    )
