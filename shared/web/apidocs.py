"""Owns how a service's interface is described: its OpenAPI document, refusals included, and the page that shows it.

The page's script and style come from this process (Swagger UI's files lie in the package fastapi-swagger), so that it
works without any network beyond the service, under the policy of every other page.
"""

from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from shared.web.headers import SECURITY_HEADERS
from shared.web.problems import MEDIA_TYPE, STATUS_OF, ProblemDocument

SWAGGER_UI = Path(str(files("fastapi_swagger.resources")))
OWN = Path(__file__).resolve().parent / "static"
FILES = {"swagger-ui.css": SWAGGER_UI, "swagger-ui-bundle.js": SWAGGER_UI, "docs.js": OWN}
"""The folder of each file that the page needs."""
PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>{title}</title>
  <link rel="icon" href="data:,">
  <link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
  <main id="docs"></main>
  <noscript><p>This page needs a script; it shows <a href="/openapi.json">openapi.json</a>.</p></noscript>
  <script src="/docs/swagger-ui-bundle.js"></script>
  <script src="/docs/docs.js"></script>
</body>
</html>
"""
ALWAYS = ("internal_error", "unavailable")
GUARDED = ("unauthenticated", "forbidden")
WITH_BODY = ("body_malformed", "body_too_large", "validation_failed")
CODES = "x-codes"
"""Where `refuses` leaves its codes for `add_refusals`; no document shows it."""


AUTHORISE = """
**Tokens.** *Authorize* takes the token alone, without the word `Bearer`. A staff token (scheme `staff`) comes from the
OpenID Connect issuer and names roles; while the local issuer runs, `releve token ROLE` prints one. Operations without a
lock need none. Refusals are problem documents (RFC 9457) with a `code`.
"""


def introduction(about: str) -> str:
    """What stands above a service's operations: what they are for, and which token to authorise with."""
    return f"{about.strip()}\n{AUTHORISE}"


def refuses(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route: the codes of its own refusals (`docs/design.md` §5).

    What every route may answer by its shape (no token, no body, a dependency away) is added by itself.
    """
    responses: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        responses.setdefault(STATUS_OF[code], {CODES: []})[CODES].append(code)
    return responses


def install_docs(app: FastAPI) -> None:
    """Serve the document with every refusal, and its page. Call it when every route is there."""
    plain = app.openapi
    described: list[dict[str, Any]] = []

    def openapi() -> dict[str, Any]:
        if not described:
            described.append(add_refusals(plain()))
        return described[0]

    app.openapi = openapi  # type: ignore[method-assign]
    app.include_router(_page(app.title))


def add_refusals(document: dict[str, Any]) -> dict[str, Any]:
    """Every operation of the interface with the problem documents that it may answer; FastAPI's own shape leaves.

    An operation's summary is the first sentence of its function, not the function's name.
    """
    for path, operations in document["paths"].items():
        for operation in operations.values():
            first, _, rest = operation.pop("description", operation["summary"]).partition("\n")
            operation["summary"] = first.strip().removesuffix(".")
            if rest.strip():
                operation["description"] = rest.strip()
            _refusals_of(operation, guarded_by_us=path.startswith("/api/"))
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schema = TypeAdapter(ProblemDocument).json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs"))
    schemas["Problem"] = schema
    return document


def _refusals_of(operation: dict[str, Any], *, guarded_by_us: bool) -> None:
    responses = operation["responses"]
    told = {int(status): list(answer.pop(CODES)) for status, answer in responses.items() if CODES in answer}
    codes = [code for each in told.values() for code in each]
    if guarded_by_us:
        codes += [*ALWAYS, *(GUARDED if operation.get("security") else ())]
        codes += WITH_BODY if "requestBody" in operation else ()
        codes += ["validation_failed"] if "422" in responses else []
    for status in sorted({STATUS_OF[code] for code in codes}):
        responses[str(status)] = _refusal(sorted({code for code in codes if STATUS_OF[code] == status}))


def _refusal(codes: list[str]) -> dict[str, Any]:
    one_of = {"properties": {"code": {"enum": codes}}}
    schema = {"allOf": [{"$ref": "#/components/schemas/Problem"}, one_of]}
    description = ", ".join(f"`{code}`" for code in codes)
    headers = {"Retry-After": {"schema": {"type": "integer"}}} if codes == ["unavailable"] else {}
    return {"description": description, "headers": headers, "content": {MEDIA_TYPE: {"schema": schema}}}


def _page(title: str) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    sources = {name: StaticFiles(directory=folder) for name, folder in FILES.items()}

    @router.get("/docs")
    async def docs() -> HTMLResponse:
        return HTMLResponse(PAGE.format(title=title), headers=dict(SECURITY_HEADERS))

    @router.get("/docs/{name}")
    async def file(name: str, request: Request) -> Response:
        if name not in sources:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        response = await sources[name].get_response(name, request.scope)
        response.headers.update({"Cache-Control": "public, max-age=3600", "X-Content-Type-Options": "nosniff"})
        return response

    return router
