"""The server's app, made from the settings: what is served, behind what gate."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from sisyphus.server.access import Gate, refuse_open_doors, with_token
from sisyphus.server.answers import speak_json
from sisyphus.server.desks import Desks
from sisyphus.server.original import Original
from sisyphus.server.upkeep import Rounds
from sisyphus.settings import Settings
from sisyphus.version import VERSION


def create_app(settings: Settings | None = None) -> FastAPI:
    """Make the app; any number may serve one queue.

    Its lifespan does the fleet's upkeep and closes the connections in the end. Without a
    token it answers to local names only: a test client needs the base URL
    ``http://localhost``.

    Raises:
        ConfigError: the settings would let everybody in, or are wrong.
    """
    settings = with_token(settings or Settings.load())
    refuse_open_doors(settings)
    desks = Desks(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        rounds = Rounds(settings)
        rounds.start()
        yield
        rounds.stop()
        desks.close()

    app = FastAPI(
        title="Sisyphus",
        version=VERSION,
        lifespan=lifespan,
        redirect_slashes=False,
        openapi_url=None,
        docs_url=None,  # it would load scripts from elsewhere
        redoc_url=None,
    )
    speak_json(app)
    app.include_router(Original(settings, desks).routes())
    app.add_middleware(Gate, settings=settings)
    return app
