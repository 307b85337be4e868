"""The edges are coroutines: FastAPI runs plain functions in threads, which costs each request more than its work."""

import importlib
import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import APIRouter
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from shared.service import Service
from tests.architecture.test_the_tree import SERVICES


def within(dependant: Dependant) -> Iterator[Any]:
    yield dependant.call
    for each in dependant.dependencies:
        yield from within(each)


def routes(router: APIRouter) -> Iterator[APIRoute]:
    for each in router.routes:
        if isinstance(each, APIRoute):
            yield each
        elif isinstance(inner := getattr(each, "original_router", None), APIRouter):
            yield from routes(inner)


def waits(call: Any) -> bool:
    kinds = (inspect.iscoroutinefunction, inspect.isasyncgenfunction)
    return any(kind(each) for kind in kinds for each in (call, getattr(call, "__call__", None)))  # noqa: B004


@pytest.mark.parametrize("name", SERVICES)
def test_no_request_is_handed_to_a_thread(name: str) -> None:
    service: Service = importlib.import_module(f"services.{name}.app").service
    seen = [(route, call) for router in service.routers for route in routes(router) for call in within(route.dependant)]
    assert seen
    assert [f"{route.path}: {call}" for route, call in seen if not waits(call)] == []
