"""The server of the page: on loopback, until it is told to stop."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from typing import Any

from dlnsweep.errors import SpecError, StoreError

HOST = "127.0.0.1"
_MISSING = (
    "`dlnsweep view` needs the packages of its extra, and {} is not installed: "
    "pip install 'dlnsweep[view]'."
)


class Server:
    """A page that is ready to be served.

    Args:
        paths: Results folders, or folders of such.
        port: Where to listen; 0 for any port that is free.

    Attributes:
        address: Where the page is, with its token.
        paths: The folders that it shows.

    Raises:
        SpecError: If the extra is not installed, or the port cannot be had.
        StoreError: If a folder is no results folder.
    """

    def __init__(self, paths: Sequence[str], port: int = 0) -> None:
        try:
            import dash  # noqa: F401
        except ImportError as error:
            missing = (error.name or "dash").partition(".")[0]
            raise SpecError(_MISSING.format(missing)) from None
        from werkzeug.serving import WSGIRequestHandler, make_server

        from dlnsweep.view.guard import TOKEN, Guard
        from dlnsweep.view.page import make_app
        from dlnsweep.view.sweeps import Sweeps, folders

        found = folders(paths)
        if not found:
            raise StoreError("There is no results folder to look at.")
        self.paths = found
        sweeps = Sweeps(found)
        app = make_app(sweeps)
        listening = _listen(port)
        port = listening.getsockname()[1]
        self.guard = Guard(port)
        self.guard.install(app.server, app.csp_hashes)

        class Quiet(WSGIRequestHandler):
            """Says nothing of requests: their addresses are not for terminals."""

            def log(self, type: str, message: str, *args: Any) -> None:
                pass

        # From the socket that we hold: nobody else can have taken the port meanwhile.
        self._server = make_server(
            HOST, port, app.server, threaded=True, request_handler=Quiet, fd=listening.fileno()
        )
        self._listening = listening
        self.address = f"http://{HOST}:{port}/?{TOKEN}={self.guard.token}"

    def run(self) -> None:
        """Answer until interrupted."""
        try:
            self._server.serve_forever(poll_interval=0.2)
        finally:
            self.close()

    def stop(self) -> None:
        """End `run`, from another thread."""
        self._server.shutdown()

    def close(self) -> None:
        """Let go of the port."""
        self._server.server_close()
        self._listening.close()


def _listen(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # The port of a page that has just ended may be had at once.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        why = (
            "is taken by another program"
            if error.errno == errno.EADDRINUSE
            else f"cannot be had ({error.strerror or error})"
        )
        raise SpecError(
            f"port {port} {why}; give another one with --port, or none for any that is free."
        ) from None
    return listening
