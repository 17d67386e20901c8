"""How the scripts are called: what all transitions have in common."""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from sisyphus.settings import Settings
from sisyphus.store.keys import Keys
from sisyphus.store.refusals import refusal
from sisyphus.store.replies import Lease, Settlement
from sisyphus.store.scripts import Argument, script
from sisyphus.store.wire import Wire, client_of


class Calls:
    """One connection for calls, one for the blocking wait; both opened when needed."""

    def __init__(self, settings: Settings) -> None:
        self.keys = Keys(
            settings.queue, settings.heartbeat_prefix, settings.progress_prefix
        )
        self._settings = settings
        self._client = client_of(settings)
        self._wire = Wire(self._client)
        self._waiting = Wire(self._client)

    def close(self) -> None:
        """Close all connections."""
        self._waiting.close()
        self._wire.close()
        self._client.close()

    @property
    def _lease_ms(self) -> int:
        return int(self._settings.lease * 1000)

    @property
    def _keep(self) -> int:
        return self._settings.history_count

    def _call(self, name: str, **given: Argument) -> list[Any]:
        run = script(name)
        answer = self._wire.call(run, run.call(self.keys.queue, **given))
        return [text(part) for part in answer]

    def _call_leased(self, name: str, lease: Lease, **given: Argument) -> list[Any]:
        return self._call(
            name,
            session=lease.session,
            job_id=lease.job_id,
            token=lease.token,
            **given,
        )

    def _settlement(self, name: str, lease: Lease, **given: Argument) -> Settlement:
        run = script(name)
        command = run.call(
            self.keys.queue,
            session=lease.session,
            job_id=lease.job_id,
            token=lease.token,
            **given,
            keep=self._keep,
        )
        return Settlement(lease, run, command)

    def _plain(self, *command: Argument) -> Any:
        answer = self._wire.run(command)[0]
        if isinstance(answer, Exception):
            raise refusal(answer) from answer
        return answer


def text(value: Any) -> Any:
    """Decode what is text; leave the rest."""
    return value.decode() if isinstance(value, bytes) else value


def json_of(value: Any) -> bytes:
    """Write a value down; what JSON does not know becomes text."""
    try:
        return to_json(value, fallback=str)
    except PydanticSerializationError:  # a file's name need not be UTF-8
        text = json.dumps(value, ensure_ascii=False, default=str)
        return text.encode(errors="backslashreplace")
