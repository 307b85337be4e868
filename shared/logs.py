"""Owns how a process writes its log: one JSON line each, ids yes, names and addresses and tokens never."""

import logging
import sys
from contextlib import suppress
from typing import TextIO

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import Processor


class Lines:
    """Where lines go. One that cannot be written, as on a full disk, is lost: no request and no loop fails for it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write, if that is possible."""
        with suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        """Hand on what was written, if that is possible."""
        with suppress(OSError, ValueError):
            self._stream.flush()


QUIET = ("aiokafka", "asyncio", "httpx", "faststream", "alembic", "uvicorn.access", "mail.log")
# Without the values of variables: they hold names, addresses and tokens.
ENDING: tuple[Processor, ...] = (
    structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
    structlog.processors.JSONRenderer(),
)


def set_up_logs(service: str, level: str = "INFO") -> None:
    """Write structlog and the standard library's records as JSON lines on stderr, each with the service's name."""
    shared: tuple[Processor, ...] = (
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    )
    # Our own lines go straight out: as records of the standard library each would cost a request twice as much.
    structlog.configure(
        processors=[*shared, *ENDING],
        logger_factory=structlog.WriteLoggerFactory(Lines(sys.stderr)),  # type: ignore[arg-type]
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(Lines(sys.stderr))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ENDING],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(service=service)
