"""The limit of mail: letters that are written already, over kept SMTP connections, one after the other on each."""

import asyncio
from collections.abc import Sequence

import aiosmtplib


async def post(port: int, letters: Sequence[bytes], recipients: Sequence[str], connections: int) -> None:
    waiting = list(zip(letters, recipients, strict=True))

    async def line() -> None:
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False) as client:
            while waiting:
                letter, recipient = waiting.pop()
                await client.sendmail("no-reply@releve.example", [recipient], letter)

    await asyncio.gather(*(line() for _ in range(connections)))
