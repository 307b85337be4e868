"""Signing in by a link in a mail: for applicants only, once, for a short time, and telling nobody who applied."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from shared.events.intake import SignInRequested
from tests.builders_intake import IntakeBench
from tests.databases import Databases

EN = {"Accept-Language": "en"}
OWN_FORM = {"Sec-Fetch-Site": "same-origin", **EN}
RACHIDA = "rachida.esteve@ecole.example.org"


@pytest.fixture
async def intake(databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> IntakeBench:
    bench = await IntakeBench.start(databases, tmp_path, monkeypatch)
    await bench.opened()
    return bench


async def ask(intake: IntakeBench, email: str = RACHIDA) -> httpx.Response:
    return await intake.http.post("/sign-in", data={"email": email}, headers=OWN_FORM)


async def secrets_sent(intake: IntakeBench) -> list[str]:
    return [parse_qs(urlsplit(each.link).query)["link"][0] for each in await intake.said(SignInRequested)]


async def use(intake: IntakeBench, secret: str) -> httpx.Response:
    return await intake.http.post("/sign-in/link", data={"link": secret}, headers=OWN_FORM)


async def test_a_link_from_the_mail_opens_every_application_of_its_person(intake: IntakeBench) -> None:
    mine = [await intake.deposited(project__title="Lovelace"), await intake.deposited(project__title="Tech My GE")]
    foreign = await intake.deposited(contact__email="someone.else@ecole.example.org")
    assert (await ask(intake, f" {RACHIDA.title()} ")).status_code == 200
    [said] = await intake.said(SignInRequested)
    assert said.link.startswith("http://releve.example.org/sign-in?link=")
    assert (said.expires_at - said.occurred_at).total_seconds() == 900
    [secret] = await secrets_sent(intake)
    button = await intake.http.get("/sign-in", params={"link": secret}, headers=EN)
    assert (button.status_code, button.headers["cache-control"]) == (200, "no-store")
    entered = await use(intake, secret)
    assert (entered.status_code, entered.headers["location"]) == (303, "/applications")
    cookie = entered.headers["set-cookie"].lower()
    assert all(part in cookie for part in ("httponly", "samesite=lax", "path=/;", "max-age=28800"))
    page = (await intake.http.get("/applications", headers=EN)).text
    assert page.index("Tech My GE") < page.index("Lovelace")
    await mine[0].does("withdraw")
    page = (await intake.http.get("/applications", headers=EN)).text
    assert page.index(">Submitted<") < page.index("Lovelace") < page.index(">Application withdrawn<")
    assert foreign.receipt["reference"] not in page
    for applicant in mine:
        opened = await intake.http.get(f"/applications/{applicant.id}", headers=EN)
        assert (opened.status_code, applicant.receipt["reference"] in opened.text) == (200, True)
    assert (await intake.http.get(f"/applications/{foreign.id}", headers=EN)).status_code == 401
    assert (await intake.http.get("/applications/nothing", headers=EN)).status_code == 401


async def test_a_link_works_once_and_looking_at_it_does_not_use_it(intake: IntakeBench) -> None:
    await intake.deposited()
    await ask(intake)
    [secret] = await secrets_sent(intake)
    for _ in range(2):
        await intake.http.get("/sign-in", params={"link": secret}, headers=EN)
    answers = await asyncio.gather(use(intake, secret), use(intake, secret))
    assert sorted(each.status_code for each in answers) == [303, 410]
    again = await use(intake, secret)
    looked_at = await intake.http.get("/sign-in", params={"link": secret}, headers=EN)
    for answer in (again, looked_at):
        assert (answer.status_code, "This link was used already" in answer.text) == (410, True)
        assert "Ask for a new one here." in answer.text
        assert "One step is left" not in answer.text


async def test_a_link_that_expired_opens_nothing(intake: IntakeBench) -> None:
    await intake.deposited()
    await ask(intake)
    [secret] = await secrets_sent(intake)
    async with intake.db.transaction() as tx:
        await tx.execute("UPDATE sign_in SET link_until = now()")
    for answer in (await use(intake, secret), await intake.http.get("/sign-in", params={"link": secret}, headers=EN)):
        assert (answer.status_code, "does not work any more" in answer.text) == (410, True)
    await ask(intake)
    assert await intake.count("sign_in") == 1  # what holds no more is deleted on the way


async def test_nobody_learns_who_applied(intake: IntakeBench) -> None:
    await intake.deposited()
    known, unknown = await ask(intake), await ask(intake, "nobody@ecole.example.org")
    assert known.text.replace(RACHIDA, "X") == unknown.text.replace("nobody@ecole.example.org", "X")
    assert len(await intake.said(SignInRequested)) == 1


async def test_a_mailbox_is_not_filled_by_somebody_else(intake: IntakeBench) -> None:
    await intake.deposited()
    answers = await asyncio.gather(*[ask(intake) for _ in range(8)])
    assert {each.status_code for each in answers} == {200}
    assert len(await intake.said(SignInRequested)) == 3


async def test_an_address_that_is_none_is_said_beside_its_field(intake: IntakeBench) -> None:
    for wrong in ("", "  ", "rachida", "a@b@c", "x" * 300 + "@example.org", "a\x00@example.org"):
        answer = await ask(intake, wrong)
        assert (answer.status_code, "as in name@example.org" in answer.text) == (422, True), wrong
    assert await intake.said(SignInRequested) == []


async def test_forms_of_other_sites_are_refused(intake: IntakeBench) -> None:
    await intake.deposited()
    foreign = {"Sec-Fetch-Site": "cross-site", **EN}
    for path, form in (("/sign-in", {"email": RACHIDA}), ("/sign-in/link", {"link": "x"}), ("/sign-out", {})):
        assert (await intake.http.post(path, data=form, headers=foreign)).status_code == 403
    assert await intake.said(SignInRequested) == []


async def test_signing_out_ends_the_session_at_the_server(intake: IntakeBench) -> None:
    await intake.deposited()
    await ask(intake)
    [secret] = await secrets_sent(intake)
    await use(intake, secret)
    stolen = dict(intake.http.cookies)
    assert (await intake.http.post("/sign-out", headers=OWN_FORM)).status_code == 303
    intake.http.cookies.update(stolen)
    assert (await intake.http.get("/applications", headers=EN)).status_code == 401


async def test_neither_links_nor_sessions_are_stored_readable(intake: IntakeBench) -> None:
    await intake.deposited()
    await ask(intake)
    [secret] = await secrets_sent(intake)
    await use(intake, secret)
    session = intake.http.cookies["releve_session"]
    async with intake.db.transaction() as tx:
        rows = await tx.fetch_all("SELECT to_jsonb(s)::text AS row FROM sign_in s")
    assert len(rows) == 1
    assert not [row for row in rows if secret in row["row"] or session in row["row"]]
