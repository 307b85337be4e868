"""Owns how staff get their tokens on the command line: the authorization-code flow against the local issuer."""

from __future__ import annotations

import secrets
from typing import Annotated
from urllib.parse import parse_qs, urlsplit

import httpx
import typer

from cli.run import StateDir
from deploy.local.issuer import staff
from deploy.local.reach import reachable
from deploy.local.system import NoSystem, System

CLIENT_ID = "releve"
"""Also the audience of the token: RELEVE_OIDC_AUDIENCE names the same."""
ROLES = frozenset({"reviewer", "chair", "officer", "support", "operator", "administrator"})
"""The roles that a token can carry (`docs/design.md` §5)."""
_REDIRECT_URI = "http://127.0.0.1/signed-in"
_SCOPE = "openid profile"


class NoToken(Exception):
    """The issuer gave no token; the message says at which step."""


class NobodyOfThatName(NoToken):
    """A token was asked for somebody whom nobody declared: it would carry no role and open no door."""

    def __init__(self, subject: str) -> None:
        super().__init__(
            f"nobody is named {subject!r}. deploy/local/staff.yaml knows {', '.join(staff())};"
            " `releve token --role R --as NAME` makes somebody else up."
        )
        self.subject = subject


def staff_token(issuer: str, subject: str, roles: list[str] | None = None) -> str:
    """The id_token that a person sends as bearer. `roles` make up somebody whom the local issuer does not know.

    Raises NobodyOfThatName, NoToken, httpx.HTTPError.
    """
    check_known(subject, roles)
    with httpx.Client(base_url=reachable(issuer), timeout=10) as client:
        if roles:
            client.put(f"/users/{subject}", json={"name": subject, "roles": roles}).raise_for_status()
        query = {
            "response_type": "code", "client_id": CLIENT_ID, "redirect_uri": _REDIRECT_URI, "scope": _SCOPE,
            "state": secrets.token_urlsafe(16), "nonce": secrets.token_urlsafe(16),
        }  # fmt: skip
        signed_in = client.post("/oauth2/authorize", params=query, data={"sub": subject})
        answer = parse_qs(urlsplit(signed_in.headers.get("location", "")).query)
        if answer.get("state") != [query["state"]] or "code" not in answer:
            raise NoToken(f"the issuer {issuer} did not sign {subject} in: {signed_in.status_code}")
        exchange = {"grant_type": "authorization_code", "code": answer["code"][0], "redirect_uri": _REDIRECT_URI}
        given = client.post("/oauth2/token", data={**exchange, "client_id": CLIENT_ID, "client_secret": "-"})
        token = given.json().get("id_token") if given.is_success else None
        if not isinstance(token, str):
            raise NoToken(f"the issuer {issuer} gave {subject} no token: {given.status_code}")
        return token


def check_known(subject: str, roles: list[str] | None = None) -> None:
    """Raises NobodyOfThatName for a name that the local issuer does not know and that no role makes up."""
    if not roles and subject not in staff():
        raise NobodyOfThatName(subject)


def token(
    subject: Annotated[str | None, typer.Argument(help="Who, as in deploy/local/staff.yaml: chair, officer, …")] = None,
    name: Annotated[str | None, typer.Option("--as", help="The same as SUBJECT.")] = None,
    role: Annotated[list[str] | None, typer.Option(help="Roles of somebody who is not in that file.")] = None,
    state_dir: StateDir = None,
) -> None:
    """Print a staff token of the local issuer. Example: `releve token officer`.

    For somebody made up: `releve token --role reviewer --as ada`. Exit status: 0 printed, 1 nobody has that name or no
    issuer answers, 2 wrong use.
    """
    who = name if subject is None else subject
    if who is None:
        raise typer.BadParameter("name who it is for, such as `releve token officer`")
    if name not in (None, who):
        raise typer.BadParameter(f"SUBJECT is {subject} and --as is {name}: name one person")
    unknown = sorted(set(role or []) - ROLES)
    if unknown:
        raise typer.BadParameter(f"no role is named {', '.join(unknown)}; there are {', '.join(sorted(ROLES))}")
    try:
        check_known(who, role)
        typer.echo(staff_token(System.current(state_dir).issuer, who, role))
    except (NoToken, NoSystem, httpx.HTTPError) as error:
        typer.echo(f"No token: {error}", err=True)
        raise typer.Exit(1) from None
