"""Where an app sends the messages of entries, as far as this process can tell."""

from __future__ import annotations

from typing import Any

from habeat.core.entry import Entry


class Queues:
    """The queues of a Celery app's entries."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._loaded = False

    def of(self, entry: Entry) -> str:
        """The queue's name, or the exchange and routing key; "?" if the app's own code fails."""
        try:
            return _destination(entry.options) or _destination(self._routed(entry)) or "?"
        except Exception:  # a router or a module of the user's: the list is shown all the same
            return "?"

    def _routed(self, entry: Entry) -> dict[str, Any]:
        if not self._loaded:
            self._app.loader.import_default_modules()
            self._loaded = True
        task = self._app.tasks.get(entry.task_name)
        own = {name: getattr(task, name, None) for name in ("queue", "exchange", "routing_key")}
        given = {name: value for name, value in own.items() if value is not None}
        if _destination(given):
            return given
        routed: dict[str, Any] = self._app.amqp.router.route(
            dict(entry.options), entry.task_name, list(entry.args), dict(entry.kwargs)
        )
        return routed


def _destination(options: Any) -> str:
    """The queue in these options, or exchange/routing key; "" if they name none."""
    queue = options.get("queue")
    if queue is not None:
        return str(getattr(queue, "name", queue))
    exchange, key = options.get("exchange"), options.get("routing_key")
    parts = (str(getattr(exchange, "name", exchange) or ""), str(key or ""))
    return "/".join(part for part in parts if part)
