"""A rush is taken in by the process, where its receipt is timed and its number bounded; it does not wait outside."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack

import uvicorn
import uvloop

from shared.web.listening import TAKEN_A_TURN, UNTAKEN, listeners_of

RUSH = 10 * TAKEN_A_TURN
FEW_TURNS = 20


class _Taken(asyncio.Protocol):
    count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        type(self).count += 1


def test_a_rush_is_taken_in_within_few_turns_of_the_loop() -> None:
    config = uvicorn.Config("none:none", host="127.0.0.1", port=0, log_config=None)

    async def turns() -> int:
        loop = asyncio.get_running_loop()
        listeners = listeners_of(config)
        servers = [await loop.create_server(_Taken, sock=each, backlog=UNTAKEN) for each in listeners]
        with ExitStack() as stack:
            for _ in range(RUSH):
                client = stack.enter_context(socket.socket())
                client.connect(listeners[0].getsockname())  # the kernel takes it, the loop stands
            taken = 0
            while _Taken.count < RUSH:
                await asyncio.sleep(0)
                taken += 1
        for server in servers:
            server.close()
        return taken

    assert uvloop.run(turns()) <= FEW_TURNS
