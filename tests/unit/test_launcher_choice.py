"""Where each need is met, and the reasons that are given."""

from __future__ import annotations

import pytest

from deploy.local import choice, docker, prerequisites
from deploy.local.choice import ChoiceImpossible, Need, Way, choose
from deploy.local.docker import Engine
from shared.events.topics import SERVICES

ANSWERS = Engine(answers=True, found="Docker 28 answers")
AWAY = Engine(answers=False, found="no Docker engine answers")
NAMED_DATABASES = {f"RELEVE_{name.upper()}_DATABASE_URL": f"postgresql://db/{name}" for name in SERVICES}


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> list[Engine]:
    """What the only outside thing, the engine, answers: the last of this list."""
    answers = [AWAY]
    monkeypatch.setattr(docker, "engine", lambda: answers[-1])
    return answers


def test_without_an_engine_everything_is_local_and_says_why_not_docker(engine: list[Engine]) -> None:
    choices = choose({})
    assert {c.way for c in choices.values()} == {Way.LOCAL}
    assert choices[Need.KAFKA].found[Way.DOCKER] == "no Docker engine answers"
    assert choices[Need.KAFKA].found[Way.ENVIRONMENT] == "RELEVE_KAFKA_BOOTSTRAP_SERVERS is not set"


def test_an_engine_that_answers_is_preferred_to_local_processes(engine: list[Engine]) -> None:
    engine.append(ANSWERS)
    assert {c.way for c in choose({}).values()} == {Way.DOCKER}
    assert {c.way for c in choose({}, wanted="local").values()} == {Way.LOCAL}
    assert {c.way for c in choose({"RELEVE_PROVIDER": "local"}).values()} == {Way.LOCAL}


def test_what_the_environment_names_comes_first_each_need_for_itself(engine: list[Engine]) -> None:
    engine.append(ANSWERS)
    choices = choose({"RELEVE_SMTP_URL": "smtp://mail:25", **NAMED_DATABASES})
    assert {need: c.way for need, c in choices.items()} == {
        Need.KAFKA: Way.DOCKER,
        Need.POSTGRES: Way.ENVIRONMENT,
        Need.MAIL: Way.ENVIRONMENT,
        Need.IDENTITY: Way.DOCKER,
    }


def test_some_databases_named_and_others_not_is_refused_naming_the_others(engine: list[Engine]) -> None:
    with pytest.raises(ChoiceImpossible, match="RELEVE_REVIEW_DATABASE_URL"):
        choose({"RELEVE_INTAKE_DATABASE_URL": "postgresql://db/intake"})


def test_docker_asked_for_without_an_engine_is_refused_and_so_is_a_third_word(engine: list[Engine]) -> None:
    with pytest.raises(ChoiceImpossible, match="no Docker engine answers"):
        choose({}, wanted="docker")
    with pytest.raises(ChoiceImpossible, match="docker, local or servers"):
        choose({"RELEVE_PROVIDER": "cloud"})


def test_missing_java_is_told_in_one_sentence_that_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(prerequisites.Missing, match=r"default-jre-headless and maven") as missing:
        prerequisites.java()
    assert str(missing.value).count(". ") == 0
    assert "default-jre-headless" in choice.choose({}, wanted="local")[Need.KAFKA].why


def test_only_the_servers_come_from_docker_when_that_is_asked_for(engine: list[Engine]) -> None:
    engine.append(ANSWERS)
    ways = {need: c.way for need, c in choose({}, wanted="servers").items()}
    assert ways == {
        Need.KAFKA: Way.DOCKER,
        Need.POSTGRES: Way.DOCKER,
        Need.MAIL: Way.LOCAL,
        Need.IDENTITY: Way.LOCAL,
    }
