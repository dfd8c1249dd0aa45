"""The server: routes and page behind the guard, until Ctrl-C."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import socket
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from facetem.app.web.settings import Settings
from facetem.core.errors import InputError

if TYPE_CHECKING:
    from facetem.app.web.studio import Studio

_SWEEP = 60.0  # s between two looks for sessions that are over
_AT_ONCE = 512  # connections, beyond which others are told to come back


def run_server(settings: Settings, told: Callable[[str], None]) -> None:
    """Serve the page until it is interrupted; `told` gets its address when it can be opened.

    Raises
    ------
    InputError
        If the libraries of the page are not installed, or the address cannot be listened at.
    """
    try:
        import nicegui  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise InputError(
            f"serve: expected the libraries of the page, got none ({error.name}); pip install 'facetem[page]'"
        ) from None
    # NiceGUI looks for its server among all objects that there are, PyTorch's retired ones too.
    warnings.filterwarnings("ignore", message=".*torch.distributed.reduce_op", category=FutureWarning)
    logging.getLogger("nicegui").setLevel(logging.ERROR)  # it tells of every address that is not there
    listener = _listen(settings.host, settings.port)
    settings = replace(settings, port=listener.getsockname()[1])
    studio, app = make_app(settings)
    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        limit_concurrency=_AT_ONCE,
        server_header=False,
        timeout_graceful_shutdown=2,
        ws_max_size=1 << 20,
    )
    server = uvicorn.Server(config)
    # The server ends in its own time on both signals, and hands them on then.
    signal.signal(signal.SIGTERM, _stop)
    try:
        asyncio.run(_serve(server, listener, lambda: told(address(settings))))
    except KeyboardInterrupt:  # how it is meant to end
        pass
    finally:
        studio.close()
        listener.close()


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


async def _serve(server: Any, listener: socket.socket, ready: Callable[[], None]) -> None:
    async def tell() -> None:
        while not server.started:
            await asyncio.sleep(0.05)
        ready()

    telling = asyncio.create_task(tell())
    try:
        await server.serve(sockets=[listener])
    finally:
        telling.cancel()


def address(settings: Settings) -> str:
    """Where a browser finds the page."""
    host = settings.host
    if host in ("0.0.0.0", "::", ""):
        host = socket.gethostname()
    if ":" in host:
        host = f"[{host}]"
    return f"http://{host}:{settings.port}/" + (f"?token={settings.token}" if settings.token else "")


def _listen(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(found[0], socket.SOCK_STREAM)
    except OSError as error:
        raise InputError(f"{host}: expected an address to listen at, {error.strerror or error}") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(found[4])
    except OSError as error:
        listener.close()
        busy = error.errno == errno.EADDRINUSE
        reason = (
            f"port {port} is taken; choose another with --port" if busy else (error.strerror or str(error))
        )
        raise InputError(f"{host}: expected an address to listen at, {reason}") from None
    return listener


def make_app(settings: Settings) -> tuple[Studio, Any]:
    """The studio and the ASGI application over it."""
    from facetem.app.web.studio import Studio

    studio = Studio(settings)
    # NiceGUI reads and keeps its own storage below the working directory otherwise.
    os.environ["NICEGUI_STORAGE_PATH"] = str(studio.sessions.root / "nicegui")
    from fastapi import FastAPI
    from nicegui import ui

    from facetem.app.web.guard import Guard, Refused
    from facetem.app.web.page import attach
    from facetem.app.web.routes import routes

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(_sweep(studio))
        yield
        sweeping.cancel()

    async def refused(_: Any, error: Exception) -> Any:
        from starlette.responses import JSONResponse

        assert isinstance(error, Refused)
        return JSONResponse(
            {"error": error.reason}, status_code=error.status, headers={"connection": "close"}
        )

    app = FastAPI(
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        exception_handlers={Refused: refused},
    )
    app.router.routes.extend(routes(studio))
    attach(studio)
    ui.run_with(app, title="facetem", language="en-GB", tailwind=False, show_welcome_message=False)
    return studio, Guard(app, settings=settings, sessions=studio.sessions)


async def _sweep(studio: Studio) -> None:
    while True:
        await asyncio.sleep(_SWEEP)
        await asyncio.to_thread(studio.sessions.expire, 3600 * studio.settings.idle_hours)
