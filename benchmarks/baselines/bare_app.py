"""The limit of answering: Starlette reads a request's JSON and answers 200 bytes of JSON; nothing else. `BARE_PORT`."""

import os

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

ANSWER = {"application_id": "0190a0a0-0000-7000-8000-000000000000", "said": "x" * 140}


async def answer(request: Request) -> JSONResponse:
    body = await request.body()
    if body:
        await request.json()
    return JSONResponse(ANSWER)


app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST", "PUT"])])

if __name__ == "__main__":
    uvicorn.run(
        app, host="127.0.0.1", port=int(os.environ["BARE_PORT"]), log_level="warning", access_log=False, loop="uvloop"
    )
