"""What the environment names is looked at before anything is built on it, and told without its secrets."""

import asyncio

import pytest

from cli.doctor import _told
from deploy.local import named
from deploy.local.choice import Need
from deploy.local.examine import examine
from deploy.local.ports import choose_ports
from deploy.local.reach import shown
from deploy.local.state import StateFolder
from deploy.local.system import System
from shared.events.topics import SERVICES


@pytest.fixture
def closed() -> str:
    """An address where nobody listens."""
    return f"127.0.0.1:{choose_ports(['kafka'])['kafka']}"


async def problem(environment: dict[str, str], *needs: Need) -> str:
    with pytest.raises(named.NotUsable) as refused:
        await named.check(environment, list(needs), print, patience_s=0)
    return str(refused.value)


async def test_a_broker_that_does_not_answer_is_told_in_one_sentence(closed: str) -> None:
    said = await problem({"RELEVE_KAFKA_BOOTSTRAP_SERVERS": closed}, Need.KAFKA)
    assert said == f"Kafka is named ({closed}), but no broker answers there."


@pytest.mark.parametrize("address", ["postgresql://releve:s3cret@{}/x", "mysql://releve:s3/cret@{}/x", "s3cret"])
async def test_a_database_that_cannot_be_used_is_told_by_its_variable_without_its_password(
    address: str, closed: str
) -> None:
    databases = {f"RELEVE_{name.upper()}_DATABASE_URL": address.format(closed) for name in SERVICES}
    said = await problem(databases, Need.POSTGRES)
    assert said.startswith("RELEVE_INTAKE_DATABASE_URL names a database that cannot be used: ")
    assert "s3" not in said


async def test_mail_and_identity_may_come_later_and_that_is_said(closed: str) -> None:
    said: list[str] = []
    environment = {"RELEVE_SMTP_URL": f"smtp://releve:s3cret@{closed}", "RELEVE_OIDC_ISSUER": f"http://{closed}"}
    await named.check(environment, [Need.MAIL, Need.IDENTITY], said.append)
    assert [line.partition(",")[0] for line in said] == [
        f"RELEVE_SMTP_URL names smtp://{closed}", f"RELEVE_OIDC_ISSUER names http://{closed}",
    ]  # fmt: skip


def test_an_address_is_shown_without_user_and_password() -> None:
    assert shown("smtp://releve:s3cret@mail.example.org:587") == "smtp://mail.example.org:587"
    assert shown("http://127.0.0.1:9400") == "http://127.0.0.1:9400"


def of_the_environment(closed: str, folder: StateFolder) -> System:
    environment = {"RELEVE_KAFKA_BOOTSTRAP_SERVERS": closed, "RELEVE_OIDC_ISSUER": f"http://{closed}"}
    environment |= {f"RELEVE_{name.upper()}_URL": f"http://{closed}" for name in SERVICES}
    return System.from_environment(environment, folder)


def test_doctor_looks_for_no_mail_where_none_is_named(closed: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    system = of_the_environment(closed, StateFolder.at(tmp_path_factory.mktemp("state")))
    findings = {one.what: one for one in asyncio.run(examine(system))}
    assert set(findings) == {"kafka", "topics", "identity", *SERVICES}
    assert not any(one.well for one in findings.values())


def test_doctor_asked_from_another_shell_says_what_the_running_system_took(
    closed: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    system = of_the_environment(closed, StateFolder.at(tmp_path_factory.mktemp("state")))
    here = {"kafka": {"chosen": "local", "found": {"environment": "not set", "docker": "none", "local": "Kafka"}}}
    lines = list(_told(here, system, "A system runs.", []))
    assert lines[0].startswith("kafka comes from: environment (")
    assert lines[0].endswith("a start from here would take: local")
    assert next(_told(here, None, "", [])) == "kafka comes from: local"
