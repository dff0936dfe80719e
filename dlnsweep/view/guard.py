"""Who may talk to the page: the browser of the user who started it, and nobody else.

The server listens on loopback, but every program and every page that a browser has open can send
there. So each request must carry a secret (the address has it once, a cookie from then on), be
sent to a name of this machine's own (another one would be DNS rebinding), and, where a browser
says whose page sent it, to our own.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Sequence
from typing import Any

TOKEN = "token"
_MOST_BODY = 2**20


class Guard:
    """The rules of one server.

    Args:
        port: Where it listens.

    Attributes:
        token: What the first address has.
        cookie: The name of the cookie, which browsers keep for all ports of a host together.
    """

    def __init__(self, port: int) -> None:
        self.token = secrets.token_urlsafe(32)
        self.cookie = f"dlnsweep-view-{port}"
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._origins = {f"http://{host}" for host in self._hosts}
        self._kept = secrets.token_urlsafe(32)

    def refusal(self, request: Any) -> str:
        """Return why a request is refused; nothing if it is not."""
        if request.headers.get("Host", "") not in self._hosts:
            return "This page answers to 127.0.0.1 and localhost only."
        origin = request.headers.get("Origin")
        if origin is not None and origin not in self._origins:
            return "Another page may not ask this one."
        if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return "Another page may not ask this one."
        if request.method not in ("GET", "HEAD", "POST"):
            return "This page takes no such request."
        if not self.is_known(request) and not self.is_first(request):
            return (
                "The address must have the token that `dlnsweep view` prints; open that address. "
                "A page that was open before the command was started anew has an old one."
            )
        return ""

    def is_known(self, request: Any) -> bool:
        """Return whether a request has the cookie."""
        return _same(request.cookies.get(self.cookie, ""), self._kept)

    def is_first(self, request: Any) -> bool:
        """Return whether a request is for the page and has the token."""
        return (
            request.method == "GET"
            and request.path == "/"
            and _same(request.args.get(TOKEN, ""), self.token)
        )

    def install(self, server: Any, scripts: Callable[[], Sequence[str]]) -> None:
        """Put the rules before and after every request of a Flask server.

        Args:
            server: The Flask server.
            scripts: Returns the hashes of the scripts that the page itself has.
        """
        from flask import Response, redirect, request

        server.config["MAX_CONTENT_LENGTH"] = _MOST_BODY

        def before() -> Any:
            reason = self.refusal(request)
            if reason:
                return Response(reason + "\n", 403, mimetype="text/plain")
            if TOKEN in request.args:
                # Out of the address, which histories and screens show.
                answer = redirect("/", 303)
                answer.set_cookie(
                    self.cookie, self._kept, httponly=True, samesite="Strict", path="/"
                )
                return answer
            return None

        def after(response: Any) -> Any:
            own = " ".join(f"'{each.strip(chr(39))}'" for each in scripts())
            response.headers.update(
                {
                    "Content-Security-Policy": (
                        f"default-src 'none'; script-src 'self' {own}; style-src 'self' "
                        "'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
                        "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
                        "form-action 'none'"
                    ),
                    "X-Content-Type-Options": "nosniff",
                    "X-Frame-Options": "DENY",
                    "Referrer-Policy": "no-referrer",
                    "Cross-Origin-Resource-Policy": "same-origin",
                    "Cross-Origin-Opener-Policy": "same-origin",
                }
            )
            if not request.path.startswith("/_dash-component-suites/"):
                response.headers["Cache-Control"] = "no-store"
            return response

        # First of all, before Dash's own.
        server.before_request_funcs.setdefault(None, []).insert(0, before)
        server.after_request(after)


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), wanted.encode())
