"""Starts the endpoint at the first tick, in the process that ticks."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from habeat.beat.http.answers import Answers, State
from habeat.clock import SystemClock
from habeat.config import Settings
from habeat.core.events import EventCode
from habeat.log import log_event
from habeat.metrics.source import Source

if TYPE_CHECKING:
    from habeat.beat.http.server import Endpoint


class HttpService:
    """The endpoint of one scheduler, if `habeat_http` is set."""

    def __init__(self, settings: Settings, state: Callable[[], State]) -> None:
        self._settings = settings
        self._state = state
        self._endpoint: Endpoint | None = None
        self._given_up = False

    def ticked(self) -> None:
        """Note a tick. The first one in a process starts the endpoint; nothing is raised."""
        if self._settings.http is None or self._given_up:
            return
        if self._endpoint is None or self._endpoint.pid != os.getpid():
            try:
                self._endpoint = self._started()
            except (OSError, RuntimeError) as error:  # no more files or threads
                self._given_up = True
                log_event(
                    EventCode.ENDPOINT_FAILED,
                    "habeat: habeat_http cannot start; beat goes on without it: %s",
                    error,
                )
                return
        self._endpoint.ticked()

    def close(self) -> None:
        """Stop serving; a second call does nothing."""
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None and endpoint.pid == os.getpid():
            endpoint.close()

    def _started(self) -> Endpoint:
        from habeat.beat.http.server import Endpoint  # asyncio, for those who use it

        settings = self._settings
        assert settings.http is not None
        source = Source(settings)
        return Endpoint(
            settings.http, Answers(source, SystemClock(), settings.http_token, self._state)
        )
