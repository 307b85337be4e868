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


def test_a_rush_is_taken_in_within_few_turns_of_the_loop() -> None:
    config = uvicorn.Config("none:none", host="127.0.0.1", port=0, log_config=None)

    taken = []

    class Taken(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            taken.append(transport)

    async def turns() -> int:
        """How many turns of the loop it takes until all are in, or ten times as many as it may."""
        loop = asyncio.get_running_loop()
        listeners = listeners_of(config)
        servers = [await loop.create_server(Taken, sock=each, backlog=UNTAKEN) for each in listeners]
        with ExitStack() as stack:
            for _ in range(RUSH):
                client = stack.enter_context(socket.socket())
                client.connect(listeners[0].getsockname())  # the kernel takes it, the loop stands
            turns = 0
            while len(taken) < RUSH and turns < 10 * FEW_TURNS:
                await asyncio.sleep(0)
                turns += 1
        for server in servers:
            server.close()
        for each in listeners:
            each.close()
        return turns

    assert uvloop.run(turns()) <= FEW_TURNS
