"""The HTTP server in this process, on a port of its own, and a client of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import uvicorn

from sisyphus.server.app import create_app
from sisyphus.server.serving import listen
from sisyphus.settings import Settings
from waiting import eventually


@contextmanager
def serving(settings: Settings) -> Iterator[httpx.Client]:
    """Serve these settings' queue for the length of the block."""
    config = uvicorn.Config(create_app(settings), log_config=None, log_level="error")
    server = uvicorn.Server(config)
    with listen("127.0.0.1", 0) as listener:
        run = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        run.start()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            eventually(lambda: server.started)
            with httpx.Client(base_url=address, trust_env=False) as client:
                yield client
        finally:
            server.should_exit = True
            run.join()
