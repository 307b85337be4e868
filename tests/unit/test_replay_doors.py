"""How the replay's requests bear with services that are away for a moment."""

from pathlib import Path

import httpx
import pytest

from cli.replay.doors import Doors, Refused, about, together
from deploy.local.system import System

SYSTEM = System(
    provider="local", kafka="", services={"intake": "http://intake", "review": "http://review"}, databases={},
    issuer="http://issuer", smtp="", mail_folder=None, clock_file=None, state_dir=Path(),
)  # fmt: skip


class Service:
    """Answers in turn what it was given, the last for ever; a string is a connection that fails."""

    def __init__(self, *answers: httpx.Response | str) -> None:
        self._answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, str):
            raise httpx.ConnectError(answer)
        return answer


def problem(status: int, code: str) -> httpx.Response:
    return httpx.Response(status, json={"code": code, "detail": "why", "errors": []})


async def answer_of(service: Service) -> object:
    async with Doors(SYSTEM, httpx.MockTransport(service)) as doors:
        return await doors.call("intake", "POST", "/api/v1/x", "token", {"a": 1}, {"Idempotency-Key": "k"})


async def test_a_request_is_repeated_until_the_service_is_back() -> None:
    service = Service(
        "nobody listens", problem(503, "unavailable"), problem(409, "idempotency_in_flight"),
        httpx.Response(201, json={"reference": "R"}),
    )  # fmt: skip
    assert await answer_of(service) == {"reference": "R"}
    assert len(service.requests) == 4
    assert len({request.content for request in service.requests}) == 1
    assert {request.headers["Idempotency-Key"] for request in service.requests} == {"k"}


async def test_a_refusal_is_not_repeated() -> None:
    service = Service(problem(409, "state_conflict"))
    with pytest.raises(Refused, match="409 state_conflict why") as refused:
        await answer_of(service)
    assert refused.value.code == "state_conflict"
    assert len(service.requests) == 1


async def test_a_refusal_says_whom_of_the_folder_it_is_about() -> None:
    with pytest.raises(Refused) as refused, about("dossier d07"):
        await answer_of(Service(problem(422, "no_such_theme")))
    assert refused.value.status == 422
    assert str(refused.value).startswith("dossier d07: POST intake /api/v1/x was refused: 422 no_such_theme")


async def test_a_key_that_was_used_for_other_content_says_what_to_do() -> None:
    with pytest.raises(Refused, match=r"d07 this was played here before .*fresh state folder"), about("dossier d07"):
        await answer_of(Service(problem(422, "idempotency_key_reused")))


async def test_the_first_failure_of_many_ends_them() -> None:
    async def fail_on_three(number: int) -> None:
        if number == 3:
            raise Refused("POST", 422, "validation_failed", "")

    with pytest.raises(ExceptionGroup):
        await together(fail_on_three, range(10))
