"""Who may ask the server for what: hosts, origins, the token, the session, the size of bodies.

A page of somebody else's that is open in the same browser must reach nothing here. A browser says where a request comes
from (`Origin`, `Sec-Fetch-Site`), and those of other pages are refused. A page whose name was pointed to this machine
after it was loaded (DNS rebinding) has this origin, but asks for its own name (`Host`), which is not among ours.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import socket
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

from facetem.app.web.settings import Settings

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from facetem.app.web.sessions import Session, Sessions

SESSION = "facetem.session"  # where a request's session stands in its scope
UPLOAD = "/api/upload"
_PLACES, _BELOW = ("/", "/favicon.ico"), ("/_nicegui/", "/_nicegui_ws/", "/api/")
BODY = 1_000_000  # bytes of any other request
# Vue compiles its templates in the browser, which needs 'unsafe-eval', and NiceGUI starts the page from scripts in it.
# What counts here is that nothing is ever asked of, or sent to, another server.
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "form-action 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class Refused(Exception):  # noqa: N818 (what happened, not an error of ours)
    """A request that is not answered: the HTTP status, and one line that says why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


@dataclass(frozen=True)
class _Head:
    """What the guard looks at in a request."""

    websocket: bool
    method: str
    path: str
    query: str
    headers: dict[str, str]
    cookies: dict[str, str]

    @classmethod
    def of(cls, scope: Scope) -> _Head:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        jar: SimpleCookie = SimpleCookie()
        try:
            jar.load(headers.get("cookie", ""))
        except CookieError:
            jar = SimpleCookie()
        return cls(
            scope["type"] == "websocket",
            scope.get("method", "GET"),
            scope["path"],
            scope.get("query_string", b"").decode("latin-1"),
            headers,
            {name: morsel.value for name, morsel in jar.items()},
        )


class Guard:
    """ASGI middleware around everything that the server answers."""

    def __init__(self, app: ASGIApp, *, settings: Settings, sessions: Sessions) -> None:
        self._app, self._settings, self._sessions = app, settings, sessions
        self._hosts = _own_names() | {name.lower() for name in (*settings.names, settings.host)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        head = _Head.of(scope)
        try:
            self._check_place(head)
            if redirect := self._check_token(head):
                await _answer(send, 303, "", {"location": redirect[0], "set-cookie": redirect[1]})
                return
            session, cookie = self._session(head)
            self._check_size(head)
        except Refused as refused:
            await _refuse(head, receive, send, refused)
            return
        scope[SESSION] = session

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *(pair for pair in message.get("headers", []) if pair[0].lower() != b"server"),
                    *((name.encode(), value.encode()) for name, value in HEADERS.items()),
                    *([(b"set-cookie", cookie.encode())] if cookie else []),
                ]
            await send(message)

        limited = receive if head.websocket or head.path == UPLOAD else _limited(receive)
        try:
            await self._app(scope, limited, send_guarded)
        except Refused as refused:
            await _refuse(head, receive, send, refused)

    def _check_place(self, head: _Head) -> None:
        if head.path not in _PLACES and not head.path.startswith(_BELOW):
            raise Refused(404, "path: there is nothing of that name")
        host = head.headers.get("host", "")
        if not self._is_ours(host):
            raise Refused(
                403, f"host: expected one that this page was started for, got {host!r}; see --allow-host"
            )
        site = head.headers.get("sec-fetch-site", "")
        visit = head.method == "GET" and head.headers.get("sec-fetch-mode") == "navigate" and head.path == "/"
        if site in ("cross-site", "same-site") and not visit:
            raise Refused(403, "origin: expected a request of this page, got one of another site")
        origin = head.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            raise Refused(403, "origin: expected a request of this page, got one of another site")

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True  # a number cannot be pointed elsewhere

    def _check_token(self, head: _Head) -> tuple[str, str] | None:
        """None if nothing more is needed; else where to go, and the cookie to take along."""
        token = self._settings.token
        if not token:
            return None
        name = self._cookie("token")
        if hmac.compare_digest(head.cookies.get(name, "").encode(), token.encode()):
            return None
        given = parse_qs(head.query).get("token", [""])[0]
        if hmac.compare_digest(given.encode(), token.encode()) and head.method == "GET":
            rest = {k: v for k, v in parse_qs(head.query).items() if k != "token"}
            place = head.path + ("?" + urlencode(rest, doseq=True) if rest else "")
            return "/" + place.lstrip("/"), f"{name}={token}; Path=/; HttpOnly; SameSite=Lax"
        raise Refused(403, "token: expected the address that facetem printed when it started, with its token")

    def _cookie(self, kind: str) -> str:
        return f"facetem-{kind}-{self._settings.port}"  # cookies do not tell one port from another

    def _session(self, head: _Head) -> tuple[Session | None, str]:
        """The session of a request, and the cookie to set if it is new. Only a visit of the page makes one."""
        name = self._cookie("session")
        session = self._sessions.find(head.cookies.get(name, ""))
        if session is not None:
            return session, ""
        if head.path != "/" or head.websocket:
            if head.path.startswith("/api/") or head.websocket or "/_nicegui_ws/" in head.path:
                raise Refused(403, "session: expected that of an open page, got none; load the page again")
            return None, ""
        session = self._sessions.create()
        if session is None:
            raise Refused(503, "sessions: there are too many open ones; come back later")
        return session, f"{name}={session.key}; Path=/; HttpOnly; SameSite=Lax"

    def _check_size(self, head: _Head) -> None:
        told = head.headers.get("content-length", "0")
        most = self._settings.upload_bytes if head.path == UPLOAD else BODY
        if not told.isdecimal():
            raise Refused(400, f"content-length: expected a number, got {told[:40]!r}")
        if int(told) > most:
            raise Refused(413, f"upload: expected at most {most / 1e6:g} MB, got {int(told) / 1e6:.0f} MB")


def _own_names() -> set[str]:
    return {"localhost", socket.gethostname().lower(), socket.getfqdn().lower()}


def _limited(receive: Receive) -> Receive:
    """What is received, up to `BODY` bytes."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > BODY:
            raise Refused(413, f"request: expected at most {BODY / 1e6:g} MB, got more")
        return message

    return counted


async def _refuse(head: _Head, receive: Receive, send: Send, refused: Refused) -> None:
    if head.websocket:
        await receive()  # the handshake, which a close before acceptance answers with status 403
        await send({"type": "websocket.close", "code": 4403, "reason": refused.reason[:120]})
        return
    # What is left of the body is not read: the connection ends with the answer.
    headers = dict(HEADERS) | {"connection": "close"}
    await _answer(send, refused.status, refused.reason, headers)


async def _answer(send: Send, status: int, reason: str, headers: dict[str, Any]) -> None:
    body = json.dumps({"error": reason}).encode() if reason else b""
    everything = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "cache-control": "no-store",
    }
    pairs = [(k.encode(), str(v).encode()) for k, v in (everything | headers).items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
