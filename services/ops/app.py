"""Owns what the ops service is made of."""

import signal
import threading
from types import FrameType

from services.ops import api, pages
from services.ops.consumers import IndexingConsumer, subscribe
from shared.service import Runtime, Service


async def open_ops(_: Runtime) -> None:
    """Let open streams end when the process is asked to: the server waits for every answer before it goes."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        before = signal.getsignal(number)

        def stop(caught: int, frame: FrameType | None, before: object = before) -> None:
            subscribe.wake.close()
            if callable(before):
                before(caught, frame)

        signal.signal(number, stop)


ABOUT = """
Every event on the way: live, by application, what is behind, what was set aside, and whether what must hold does. Staff
tokens of the role `operator`; a browser that signed in at `/` may read with its cookie.
"""

service = Service(
    name="ops",
    about=ABOUT,
    subscriptions=subscribe,
    routers=[api.router, pages.router, pages.pages.static],
    pages=pages.pages,
    open=open_ops,
    consumer=IndexingConsumer,
)
