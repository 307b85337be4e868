"""Owns the route of what comes by the thousand: described like any other, called with its path and request alone.

What FastAPI does between a request and its function (parameters, dependencies, the answer's model) costs as much as a
deposit's rules and rows together. Here the function does its own reading, and answers a whole response.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute


class BareRoute(APIRoute):
    """Calls `endpoint(**path, request=request)`; its path parameters are texts."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The way from a request to its response."""
        endpoint = self.endpoint

        async def answer(request: Request) -> Response:
            response: Response = await endpoint(**request.path_params, request=request)
            return response

        return answer
