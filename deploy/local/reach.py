"""Owns how this machine reaches, and shows, an address that was chosen for containers and people alike."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit, urlunsplit


def shown(url: str) -> str:
    """An address as people may see it: without the user and password that it may hold."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def reachable(url: str) -> str:
    """The address to connect to. Names under `.localhost` are this machine (RFC 6761, 6.3).

    Containers resolve such a name in their own network; not every resolver of the machine outside does.
    """
    parts = urlsplit(url)
    if (parts.hostname or "").endswith(".localhost"):
        try:
            socket.getaddrinfo(parts.hostname, parts.port)
        except socket.gaierror:
            return urlunsplit(parts._replace(netloc=f"127.0.0.1:{parts.port or 80}"))
    return url
