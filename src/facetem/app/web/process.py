"""What the processes do that work beside the server: take a job, tell how far it is, give back what came out."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

# Of the machine's memory, that one process may take: a file that claims to be enormous ends itself, not the server.
MEMORY = 0.7
_OFTEN = 0.1  # s between two signs of life, at most


def serve_jobs(pipe: Connection) -> None:
    """Do jobs until the server is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server's affair, which then ends this process
    _limit_memory()
    while True:
        try:
            function, args = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            pipe.send(_done(function, args, pipe))
        except OSError:
            return


def _done(function: Any, args: tuple[Any, ...], pipe: Connection) -> tuple[Any, ...]:
    told = 0.0

    def progress(step: str, done: int, total: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told > _OFTEN or done == total:
            told = now
            pipe.send(("step", step, done, total))

    try:
        return ("done", function(progress, *args))
    except (ValueError, OSError) as error:
        from facetem.app.command import one_line

        return ("bad", one_line(error))
    except MemoryError:
        return ("bad", "it needs more memory than this machine can give")
    except Exception as error:  # noqa: BLE001 (whatever it is, the next job is not to suffer)
        if "alloc" in str(error):  # PyTorch has no exception of its own for a CPU without memory
            return ("bad", "it needs more memory than this machine can give")
        name = type(error).__name__
        return ("broken", f"something that facetem does not expect ({name})", traceback.format_exc())


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    with contextlib.suppress(ValueError, OSError):
        most = int(MEMORY * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
