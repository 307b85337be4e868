"""Owns how a page leaves a service: base layout, language, static files, security headers; it knows no business.

    pages = Pages(Path(__file__).parent / "templates")          # services/<name>/pages.py
    router.include_router(pages.static)                          # /static/releve.css and the service's own static/
    return pages.render(request, "status.html", application=application, time_zone=call.time_zone)

A service's templates begin with `{% extends "base.html" %}` and fill `title` and `content`; `macros.html` has fields,
error summary, table, timeline, tag, notice and summary list. Scripts and styles are files: the policy refuses inline.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from shared.web.headers import SECURITY_HEADERS, YEAR_S
from shared.web.languages import COOKIE, HERE, LANGUAGES, NAMES, PARAMETER, Language, environment, known, language_of
from shared.web.problems import CODES, asks_for_page, respond


class Pages:
    """The pages of one service: its templates over the shared layout, in the language of who asks."""

    def __init__(self, service_templates: Path, layout: str = "base.html") -> None:
        """`layout` is the service's own over the shared one: what a refusal is shown in."""
        folder = service_templates.parent
        self._static_folders = [each for each in (folder / "static", HERE / "static") if each.is_dir()]
        self._versions: dict[str, str] = {}
        self.static = self._static_router()
        """Serves `/static/…`: the service's own files first, then the shared ones. Include it once."""
        self._environments: dict[Language, Environment] = {
            language: environment(
                language, [service_templates, HERE / "templates"], [HERE / "translations", folder / "translations"]
            )
            for language in LANGUAGES
        }
        for each in self._environments.values():
            each.globals["static_url"] = self.static_url
            each.globals["layout"] = layout

    def render(
        self,
        request: Request,
        template: str,
        *,
        status: int = HTTPStatus.OK,
        headers: Mapping[str, str] | None = None,
        address: str = "",
        **context: Any,
    ) -> HTMLResponse:
        """A page in the person's language. `time_zone` in the context is the zone in which moments are told.

        `address` is where the page can be read again, for what answers a form: the language switch leads there.
        """
        language = language_of(request)
        body = self._environments[language].get_template(template).render(
            request=request, languages=_switch(request, language, address), **context
        )  # fmt: skip
        response = HTMLResponse(body, status, headers=dict(headers or {}))
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        # Most pages are about one person: no cache between us and them may keep a copy.
        response.headers.setdefault("Cache-Control", "private, no-cache")
        response.headers["Content-Language"] = language
        response.headers["Vary"] = "Accept-Language, Cookie"
        if known(request.query_params.get(PARAMETER)):
            response.set_cookie(
                COOKIE, language, max_age=YEAR_S, httponly=True, samesite="lax", secure=request.url.scheme == "https"
            )
        return response

    def problem(self, request: Request, status: int, title: str, detail: str = "") -> Response:
        """A refusal as a page for a browser, else as a document; `title` and `detail` are message ids."""
        if not asks_for_page(request):
            return respond(status, CODES[status], detail or title)
        return self.render(request, "problem.html", status=status, problem_title=title, problem_detail=detail)

    def refusal(self, request: Request, status: int) -> HTMLResponse:
        """What a browser is shown in place of a problem document."""
        return self.render(request, "refusal.html", status=status, refused=int(status))

    def translate(self, request: Request, message: str) -> str:
        """One sentence in the person's language, for words that a page takes from code."""
        return str(self._environments[language_of(request)].globals["gettext"](message))  # type: ignore[operator]

    def static_url(self, name: str) -> str:
        """The address of a static file, with its content's hash so that browsers may keep it for good."""
        if name not in self._versions:
            self._versions[name] = sha256(self._static_file(name).read_bytes()).hexdigest()[:12]
        return f"/static/{name}?v={self._versions[name]}"

    def _static_file(self, name: str) -> Path:
        for folder in self._static_folders:
            if (folder / name).is_file():
                return folder / name
        raise FileNotFoundError(f"no static file is named {name}")

    def _static_router(self) -> APIRouter:
        # A route, not a mount: APIRouter.include_router passes mounts over.
        router = APIRouter(include_in_schema=False)
        sources = [StaticFiles(directory=folder) for folder in self._static_folders]

        @router.get("/static/{name:path}")
        async def static(request: Request, name: str) -> Response:
            response = await _first_found(sources, name, request)
            kept = f"public, max-age={YEAR_S}, immutable" if request.query_params.get("v") else "public, max-age=60"
            response.headers["Cache-Control"] = kept
            response.headers["X-Content-Type-Options"] = "nosniff"
            return response

        return router


async def _first_found(sources: Sequence[StaticFiles], name: str, request: Request) -> Response:
    for source in sources[:-1]:
        try:
            return await source.get_response(name, request.scope)
        except HTTPException as refused:
            if refused.status_code != HTTPStatus.NOT_FOUND:
                raise
    return await sources[-1].get_response(name, request.scope)


def _switch(request: Request, current: Language, address: str) -> list[dict[str, Any]]:
    """The links of the language switch: the same page, in each language."""
    if not address and request.method not in ("GET", "HEAD"):
        address = "/"  # what only a form can be sent to has nothing to read
    others = [(name, value) for name, value in request.query_params.multi_items() if name != PARAMETER]
    return [
        {
            "code": language,
            "name": NAMES[language],
            "current": language == current,
            "href": f"{address}?{urlencode([*others, (PARAMETER, language)])}",
        }
        for language in LANGUAGES
    ]
