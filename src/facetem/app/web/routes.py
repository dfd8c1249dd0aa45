"""What browsers ask for beside the page itself: uploads, pictures of results, downloads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from urllib.parse import quote

from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from facetem.app.web.archive import make_archive
from facetem.app.web.guard import SESSION, UPLOAD, Refused
from facetem.app.web.results import PICTURES
from facetem.app.web.sessions import PageFile, Session
from facetem.app.web.studio import Studio
from facetem.app.web.upload import receive
from facetem.core.errors import InputError

_READ_ON = 64_000_000  # bytes
_PATIENCE = 20.0  # s
_PRIVATE = {"cache-control": "private, no-store"}


def routes(studio: Studio) -> list[Route]:
    """The routes, for the sessions that the guard found."""

    def session_of(request: Request) -> Session:
        session = request.scope.get(SESSION)
        if session is None:
            raise Refused(403, "session: expected that of an open page, got none; load the page again")
        return session

    def item_of(request: Request) -> PageFile:
        item = studio.sessions.item(session_of(request), request.path_params["key"])
        if item is None:
            raise Refused(404, "file: there is none of that name among yours")
        return item

    async def upload(request: Request) -> Response:
        session = session_of(request)
        body = _body(request)
        try:
            item = await receive(session, request.headers.get("x-name", ""), body, studio.settings)
        except ClientDisconnect:
            return Response(status_code=499)
        except Refused:
            await _let_finish(body)
            raise
        session.add(item)
        try:
            studio.start(session, item)
        except InputError as error:
            item.error = str(error)
        return JSONResponse({"key": item.key, "name": item.name})

    async def picture(request: Request) -> Response:
        item, name = item_of(request), request.path_params["name"]
        if name not in PICTURES or not (item.report / name).is_file():
            raise Refused(404, "picture: there is none of that name")
        return FileResponse(item.report / name, headers=_PRIVATE)

    async def report(request: Request) -> Response:
        item = item_of(request)
        page = item.report / "report.html"
        if not page.is_file():
            raise Refused(404, f"{item.name}: it has no report yet")
        # A page of its own, with a policy that lets it do nothing but show itself.
        return FileResponse(page, headers=_PRIVATE)

    async def download(request: Request) -> Response:
        session, key = session_of(request), request.path_params["key"]
        if key == "all":
            items = [item for item in studio.sessions.items(session) if item.is_done]
        else:
            items = [item_of(request)]
        if not any(item.is_done for item in items):
            raise Refused(404, "download: there is no result yet")
        place = session.folder / "downloads"
        file = await asyncio.to_thread(make_archive, items, place)
        name = "facetem.zip" if key == "all" else f"{items[0].name.rpartition('/')[2]}-facetem.zip"
        headers = _PRIVATE | {"content-disposition": f"attachment; filename*=utf-8''{quote(name)}"}
        gone = BackgroundTask(file.unlink, missing_ok=True)
        return FileResponse(file, headers=headers, media_type="application/zip", background=gone)

    async def handmade(request: Request) -> Response:
        """What the simulator made last: the image as tif, or the atoms."""
        session, name = session_of(request), request.path_params["name"]
        file = session.folder / "simulated" / name
        if name not in ("image.tif", "atoms.extxyz") or not file.is_file():
            raise Refused(404, "simulated: there is none yet")
        headers = _PRIVATE | {"content-disposition": f'attachment; filename="simulated-{name}"'}
        return FileResponse(file, headers=headers, media_type="application/octet-stream")

    return [
        Route(UPLOAD, upload, methods=["POST"]),
        Route("/api/items/{key}/download.zip", download),
        Route("/api/items/{key}/report.html", report),
        Route("/api/items/{key}/{name}", picture),
        Route("/api/simulated/{name}", handmade),
    ]


async def _body(request: Request) -> AsyncIterator[bytes]:
    async for chunk in request.stream():
        if chunk:
            yield chunk


async def _let_finish(body: AsyncIterator[bytes]) -> None:
    """Read on for a little: a browser looks for an answer only after it has sent what it wanted to."""
    left = _READ_ON
    with suppress(TimeoutError, ClientDisconnect):
        async with asyncio.timeout(_PATIENCE):
            async for chunk in body:
                left -= len(chunk)
                if left < 0:
                    return
