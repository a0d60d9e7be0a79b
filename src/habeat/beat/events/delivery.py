"""HTTP requests to services outside, each in a thread that may wait for them.

A service may be away, hang, answer slowly byte by byte, redirect, or refuse. None of that reaches
the loop: a request waits in a bounded queue, has a timeout and a deadline, and is repeated after
pauses. Redirects are not followed: they could lead a secret elsewhere. What a service does wrong is
logged once when it starts and once when it ends, without the part of the URL that can be secret.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Generic, TypeVar
from urllib.parse import unquote, urlsplit

from habeat.config.web import WebUrl
from habeat.core.events import EventCode
from habeat.engine.trouble_log import TroubleLog
from habeat.printable import repr_of

TIMEOUT_S = 5.0
#: A request takes no longer than this, however slowly the answer comes.
DEADLINE_S = 10.0
#: The pauses before a request is repeated. After the last, it is dropped.
PAUSES_S = (1.0, 5.0, 20.0, 60.0)
WAITING_MAX = 1_000
#: How long a stop waits for requests that are still to be made.
AT_STOP_S = 1.0

#: Answers that another attempt may change: the server is busy, or had an error.
_TEMPORARY = (408, 425, 429)

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Request:
    """One request. The body is empty for a GET."""

    url: WebUrl
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Refused(Exception):
    """The service answered with something else than success; `again` if it is worth repeating."""

    def __init__(self, status: int) -> None:
        redirects = ", a redirect, which is not followed" if 300 <= status < 400 else ""
        super().__init__(f"HTTP status {status}{redirects}")
        self.again = status >= 500 or status in _TEMPORARY


def request(asked: Request, timeout_s: float = TIMEOUT_S, deadline_s: float = DEADLINE_S) -> None:
    """Make a request. Raises Refused, or OSError and HTTPException if there is no answer."""
    parts = urlsplit(asked.url.url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
    headers = {"User-Agent": "habeat", "Connection": "close", **asked.headers}
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = "Basic " + b64encode(login.encode()).decode()
    path = parts.path or "/"
    was_cut = threading.Event()
    timer = threading.Timer(deadline_s, _cut, [connection, was_cut])
    timer.daemon = True
    timer.start()
    try:
        method = "POST" if asked.body else "GET"
        target = f"{path}?{parts.query}" if parts.query else path
        connection.request(method, target, asked.body or None, headers)
        status = connection.getresponse().status
    finally:
        timer.cancel()
        connection.close()
    if was_cut.is_set():  # what looks like the end of an answer is where it was cut
        raise TimeoutError(f"no complete answer within {deadline_s:g} s")
    if not 200 <= status < 300:
        raise Refused(status)


def _cut(connection: HTTPConnection, was_cut: threading.Event) -> None:
    """End whatever another thread is waiting for on this connection."""
    was_cut.set()
    found = connection.sock
    if found is not None:
        with contextlib.suppress(OSError):
            found.shutdown(socket.SHUT_RDWR)


class Lane(Generic[Item]):
    """One queue and its thread, which delivers items in order, some at a time."""

    def __init__(
        self,
        code: EventCode,
        make: Callable[[Sequence[Item]], Request],
        batch: int = 1,
        pauses_s: Sequence[float] = PAUSES_S,
        send: Callable[[Request], None] = request,
    ) -> None:
        """`make` turns up to `batch` items into one request."""
        self._code = code
        self._make = make
        self._batch = batch
        self._pauses_s = pauses_s
        self._send = send
        self._waiting: deque[Item] = deque()
        self._changed = threading.Condition()
        self._busy = False
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._trouble = TroubleLog()
        #: How many items were dropped, because they found the queue full or were refused.
        self.dropped = 0

    def put(self, item: Item) -> None:
        """Queue the item and return at once. If the queue is full, its oldest item is dropped."""
        with self._changed:
            if len(self._waiting) >= WAITING_MAX:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(item)
            if self._thread is None and not self._over.is_set():
                self._thread = threading.Thread(target=self._run, name="habeat web", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def close(self) -> None:
        """Deliver what waits, for a second at most, and end the thread."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting and not self._busy, AT_STOP_S)
            self._over.set()
            self._changed.notify_all()

    # -- the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        while items := self._next():
            try:
                self._deliver(items)
            except Exception as error:  # a bug, or an item that cannot be written
                self.dropped += len(items)
                text = "habeat: a web request cannot be made (%r)"
                self._trouble.error("bug", EventCode.PART_FAILED, text, error, traceback=True)

    def _next(self) -> Sequence[Item]:
        with self._changed:
            self._busy = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._waiting or self._over.is_set())
            if self._over.is_set():
                return ()
            self._busy = True
            count = min(self._batch, len(self._waiting))
            return [self._waiting.popleft() for _ in range(count)]

    def _deliver(self, items: Sequence[Item]) -> None:
        asked = self._make(items)
        for pause_s in (*self._pauses_s, None):
            try:
                self._send(asked)
            except (Refused, OSError, HTTPException, ValueError) as error:
                again = pause_s is not None and getattr(error, "again", True)
                self._failed(asked.url, error, again=again)
                if not again or self._over.wait(pause_s):
                    self.dropped += len(items)
                    return
            else:
                self._trouble.over(str(asked.url), "habeat: %s takes requests again", asked.url)
                return

    def _failed(self, url: WebUrl, error: Exception, *, again: bool) -> None:
        why = str(error) if isinstance(error, Refused) else repr_of(error)
        then = "trying again" if again else "dropped"
        self._trouble.error(
            str(url), self._code, "habeat: a request to %s failed (%s); %s", url, why, then
        )
