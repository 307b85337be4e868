"""Owns intake's pages: calls and laureates for all, an application for its applicant; the same views as the API's."""

from fastapi import APIRouter

from services.intake.pages import application, public, sign_in
from services.intake.pages.layout import pages

router = APIRouter(include_in_schema=False)
for part in (public.router, sign_in.router, application.router, pages.static):
    router.include_router(part)
