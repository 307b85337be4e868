"""What each service says of its interface: every refusal, and a page that needs nothing but the service."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from shared.config import ServiceSettings
from shared.identity import Issuer
from shared.service import Runtime, make_app
from shared.web.problems import CODES, MEDIA_TYPE, STATUS_OF

SERVICES = ("intake", "review", "funding", "notify", "ops")
DESIGN = Path(__file__).resolve().parents[2] / "docs" / "design.md"


def app_of(name: str) -> FastAPI:
    service = import_module(f"services.{name}.app").service
    issuer = Issuer("http://127.0.0.1:1", "releve")
    db: Any = None
    return make_app(Runtime(service, ServiceSettings(), db, issuer, frozenset({"api"})))


def client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service.test")


@pytest.mark.parametrize("name", SERVICES)
async def test_every_operation_describes_its_refusals_as_problem_documents(name: str) -> None:
    async with client(app_of(name)) as http:
        document = (await http.get("/openapi.json")).json()
    assert "HTTPValidationError" not in str(document)
    assert set(document["components"]["schemas"]["Problem"]["required"]) == {
        "type", "title", "status", "code", "detail", "errors",
    }  # fmt: skip
    operations = {
        f"{method} {path}": operation
        for path, each in document["paths"].items() if path.startswith("/api/")
        for method, operation in each.items()
    }  # fmt: skip
    assert operations
    for asked, operation in operations.items():
        refused = {int(status): answer for status, answer in operation["responses"].items() if int(status) >= 400}
        wanted = {500, 503} | ({401, 403} if operation.get("security") else set())
        wanted |= {400, 413, 422} if "requestBody" in operation else set()
        assert wanted <= set(refused), asked
        for status, answer in refused.items():
            whole, own = answer["content"][MEDIA_TYPE]["schema"]["allOf"]
            assert whole == {"$ref": "#/components/schemas/Problem"}, asked
            assert {STATUS_OF[code] for code in own["properties"]["code"]["enum"]} == {status}, asked


@pytest.mark.parametrize("name", SERVICES)
def test_operations_are_described_in_sentences_under_an_introduction_that_names_the_tokens(name: str) -> None:
    document = app_of(name).openapi()
    about = document["info"]["description"]
    assert "releve token ROLE" in about
    schemes = document["components"]["securitySchemes"]
    assert set(schemes) == ({"staff", "application"} if name == "intake" else {"staff"})
    assert [each for each in schemes if f"`{each}`" not in about] == []
    for operations in document["paths"].values():
        for operation in operations.values():
            name_of_function = operation["operationId"].partition("_api")[0].replace("_", " ")
            assert operation["summary"].casefold() != name_of_function
            assert len(operation["summary"].split()) > 2 or operation["summary"].endswith("accounts")
            assert operation["summary"][-1] != "."


def test_the_codes_of_the_design_have_their_status() -> None:
    line = next(each for each in DESIGN.read_text("utf-8").splitlines() if each.startswith("Codes: 400"))
    told: dict[str, int] = {}
    for part in line.partition("Fields:")[0].split("·"):
        statuses = [int(each) for each in re.findall(r"\b[45]\d\d\b", part)]
        told |= dict.fromkeys(re.findall(r"`([a-z_]+)`", part), statuses[-1])
    assert len(told) > 10
    assert {code: STATUS_OF[code] for code in told} == told
    assert {status: STATUS_OF[code] for status, code in CODES.items()} == {status: status for status in CODES}


@pytest.mark.parametrize("name", SERVICES)
async def test_the_page_of_the_interface_loads_everything_from_the_service(name: str) -> None:
    async with client(app_of(name)) as http:
        page = await http.get("/docs")
        wanted = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert {each for each in wanted if not each.startswith(("/", "data:"))} == set()
        assert f"Relevé {name}" in page.text
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        files = [await http.get(each) for each in wanted if each.startswith("/")]
        assert [each.status_code for each in files] == [200] * len(files)
        assert len(files) == 4
        assert (await http.get("/docs/..%2fapidocs.py")).status_code == 404
        assert (await http.get("/docs/releve.css")).status_code == 404
