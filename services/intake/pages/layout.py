"""Owns what every page of intake shares: its templates, and the sentences of pages that cannot be shown."""

from pathlib import Path

from shared.web.pages import Pages

pages = Pages(Path(__file__).resolve().parents[1] / "templates", layout="intake.html")

FOREIGN_FORM = ("This was not sent from your page", "Open your application's page and use its buttons.")
NO_STORE = {"Cache-Control": "no-store"}
"""For pages about one person, which nobody may find in the browser afterwards."""
