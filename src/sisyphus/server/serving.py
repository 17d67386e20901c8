"""Serving the app: listen, log, stop when told to."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from types import FrameType

import uvicorn

from sisyphus.errors import ConfigError
from sisyphus.server.app import create_app
from sisyphus.settings import Settings

logger = logging.getLogger(__name__)

REQUESTS_END_SECONDS = 2
"""How long running requests may take when the server is told to stop."""
ALL_ENDS_SECONDS = 3.0
BACKLOG = 2048


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Raises:
        ConfigError: the settings are wrong, or the address cannot be listened on.
    """
    app = create_app(settings)
    with listen(settings.server_host, settings.server_port) as listener:
        talkative = settings.log_level == "DEBUG"
        server = _Server(
            uvicorn.Config(
                app,
                log_config=None,
                log_level="debug" if talkative else "warning",
                access_log=talkative,
                server_header=False,
                timeout_graceful_shutdown=REQUESTS_END_SECONDS,
            )
        )
        # Before uvicorn listens to signals, and when it raises them again in the end.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, server.handle_exit)
        address, port = listener.getsockname()[:2]
        shown = f"[{address}]" if ":" in address else address
        logger.info("listening on http://%s:%d", shown, port)
        server.run(sockets=[listener])
    logger.info("stopped")


def listen(host: str, port: int) -> socket.socket:
    """Open the address; port 0 stands for any free one.

    Raises:
        ConfigError: it cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol named, asyncio knows that it is TCP and lets small answers go at
    # once; else each would wait 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"cannot listen on {host}, port {port}: {error.strerror};"
            " choose others with --host and --port"
        ) from None
    return listener


class _Server(uvicorn.Server):
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; a request that waits for a silent Redis is left behind.

        Nothing is lost by that: what is done in the store is done there, at once.
        """
        if not self.should_exit:
            late = threading.Timer(ALL_ENDS_SECONDS, os._exit, (0,))
            late.daemon = True
            late.start()
        self.should_exit = True
