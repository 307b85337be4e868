"""Owns how a process takes in connections: promptly, however busy it is; it reads none of them."""

import socket

import uvicorn

TAKEN_A_TURN = 16
"""How many new connections one turn of the event loop takes in."""
UNTAKEN = 4096
"""How many may wait in the kernel to be taken in, as far as it allows: what it drops comes again seconds later."""


def listeners_of(config: uvicorn.Config) -> list[socket.socket]:
    """One listening place by several handles, since the loop takes one connection a turn from each of them.

    A turn also does whatever else is to be done. With a single handle a rush waits in the kernel instead of here: no
    clock is read for its receipt, and however many they are, none is told to come back later.
    """
    first = config.bind_socket()
    return [first, *(first.dup() for _ in range(TAKEN_A_TURN - 1))]
