"""Serves the endpoint from one daemon thread, within bounds that a client cannot exceed.

One asyncio loop reads, answers and writes; no connection has a thread. A connection lives for a few
seconds, whatever its client does. When all places are taken, the oldest connection makes room, so
slow clients cannot keep a liveness probe out.

Answers that ask Redis are computed in a thread, at most one for each kind at a time: requests that
arrive meanwhile, or within a second, get the same answer. So any number of probes costs Redis no
more than one.

In a forked child, the thread is gone and its sockets are copies. The child closes them: otherwise
the port would stay in use for as long as the child lives.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import threading
from collections.abc import Callable
from functools import partial

from habeat.beat.http.answers import HEALTHZ, METRICS, READYZ, Answers
from habeat.beat.http.message import END, HEAD_MAX_BYTES, Answer, Request, parsed, plain, written
from habeat.config.address import Address
from habeat.core.events import EventCode
from habeat.forking import drop_in_children
from habeat.log import log_event

log = logging.getLogger("habeat")

CONNECTIONS_MOST = 32
READ_WITHIN_S = 2.0
ANSWER_WITHIN_S = 10.0
WRITE_WITHIN_S = 2.0
BIND_AGAIN_S = 5.0
SAME_ANSWER_S = 1.0
STOP_WITHIN_S = 2.0


class Endpoint:
    """The endpoint of this process, from its creation until `close`."""

    def __init__(self, address: Address, answers: Answers) -> None:
        self._address = address
        self._answers = answers
        self.pid = os.getpid()
        #: Where it listens; None while the address is in use.
        self.bound: Address | None = None
        self._listener: socket.socket | None = None
        #: The connections, the oldest first.
        self._clients: dict[socket.socket, asyncio.Task[None]] = {}
        self._shared: dict[str, tuple[float, asyncio.Future[Answer]]] = {}
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="habeat http", daemon=True)
        self._thread.start()
        drop_in_children(self)

    def ticked(self) -> None:
        """Note that a tick begins; `/healthz` looks at the last one."""
        self._answers.ticked()

    def close(self) -> None:
        """Stop listening, close every connection, and wait a moment for the thread to end."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(STOP_WITHIN_S)

    def drop_after_fork(self) -> None:
        """In a forked child: close the copies of the parent's sockets, and send nothing."""
        for each in (self._listener, *self._clients):
            if each is not None:
                each.close()

    # -- the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except Exception:
            _failed("habeat: the endpoint of habeat_http has failed; beat goes on without it")
        finally:
            self._loop.close()
            self._answers.close()

    async def _serve(self) -> None:
        listening = asyncio.ensure_future(self._listen())
        stopped = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait([listening, stopped], return_when=asyncio.FIRST_COMPLETED)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        if not listening.cancelled():
            listening.result()

    async def _listen(self) -> None:
        with await self._bound() as self._listener:
            while True:
                try:
                    client, _ = await self._loop.sock_accept(self._listener)
                except OSError as error:  # no more files, or the client has gone
                    log.debug("habeat: a connection to habeat_http was not accepted: %s", error)
                    await asyncio.sleep(0.1)
                    continue
                self._admit(client)

    async def _bound(self) -> socket.socket:
        """A socket that listens; while that is impossible, try again."""
        logged = False
        while True:
            try:
                listener = _listening(self._address)
            except OSError as error:
                if not logged:
                    log_event(
                        EventCode.ENDPOINT_FAILED,
                        "habeat: habeat_http cannot listen at %s; trying again every %d s; beat "
                        "goes on without it: %s",
                        self._address,
                        BIND_AGAIN_S,
                        os.strerror(error.errno or errno.EINVAL),
                    )
                logged = True
                await asyncio.sleep(BIND_AGAIN_S)
                continue
            host, port = listener.getsockname()[:2]
            self.bound = Address(host, port)
            text = "habeat: serving /healthz, /readyz and /metrics at http://%s"
            if logged:
                log_event(EventCode.ENDPOINT_FAILED, text, self.bound, ended=True)
            else:
                log.info(text, self.bound)
            return listener

    def _admit(self, client: socket.socket) -> None:
        client.setblocking(False)
        if len(self._clients) >= CONNECTIONS_MOST:
            oldest = next(iter(self._clients))
            self._clients.pop(oldest).cancel()  # which closes it
        self._clients[client] = self._loop.create_task(self._converse(client))

    # -- one connection ---------------------------------------------------------------------

    async def _converse(self, client: socket.socket) -> None:
        try:
            head = await asyncio.wait_for(self._read(client), READ_WITHIN_S)
            if head:
                said = await asyncio.wait_for(self._said(head), ANSWER_WITHIN_S)
                await asyncio.wait_for(self._write(client, said), WRITE_WITHIN_S)
        except (OSError, TimeoutError):
            pass  # the client is slow or gone
        except Exception:
            _failed("habeat: a request to habeat_http has failed")
        finally:
            self._clients.pop(client, None)
            client.close()

    async def _read(self, client: socket.socket) -> bytes:
        """The head of the request; empty if the client closes before it is complete."""
        head = b""
        while END not in head:
            if len(head) > HEAD_MAX_BYTES:
                return head
            more = await self._loop.sock_recv(client, 4_096)
            if not more:
                return b""
            head += more
        return head

    async def _write(self, client: socket.socket, said: bytes) -> None:
        await self._loop.sock_sendall(client, said)
        client.shutdown(socket.SHUT_WR)
        while await self._loop.sock_recv(client, 4_096):
            pass  # closing with unread data would reset the connection before the answer is read

    async def _said(self, head: bytes) -> bytes:
        first, end, _ = head.partition(END)
        if not end or len(first) > HEAD_MAX_BYTES:
            return written(plain(431, "the head of the request is too long"))
        request = parsed(first)
        if isinstance(request, Answer):
            return written(request)
        return written(await self._answer(request), head_only=request.method == "HEAD")

    async def _answer(self, request: Request) -> Answer:
        if request.path == HEALTHZ:
            return self._answers.health()
        if request.path == READYZ:
            return await self._once(READYZ, self._answers.readiness)
        if request.path != METRICS:
            return plain(404, f"there is {HEALTHZ}, {READYZ} and {METRICS}")
        if not self._answers.may_read(request):
            return plain(401, "the token of habeat_http_token is missing or wrong")
        accept = request.headers.get("accept", "")
        form = "openmetrics" if "application/openmetrics-text" in accept else "text"
        compute = partial(self._answers.metrics, accept if form == "openmetrics" else "")
        return await self._once(METRICS + form, compute)

    # -- answers that ask Redis -------------------------------------------------------------

    async def _once(self, kind: str, compute: Callable[[], Answer]) -> Answer:
        """The answer of this kind that is being computed or has just been; else compute it."""
        begun_s, found = self._shared.get(kind, (0.0, None))
        if found is None or (found.done() and self._loop.time() - begun_s > SAME_ANSWER_S):
            found = self._in_thread(compute)
            self._shared[kind] = (self._loop.time(), found)
        return await asyncio.shield(found)

    def _in_thread(self, compute: Callable[[], Answer]) -> asyncio.Future[Answer]:
        # Not by an executor: the interpreter waits for its threads at exit, and one may hang.
        future: asyncio.Future[Answer] = self._loop.create_future()

        def run() -> None:
            try:
                answer = compute()
            except Exception:
                _failed("habeat: an answer of habeat_http cannot be computed")
                answer = plain(503, "the answer cannot be computed; the log says why")
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(_resolve, future, answer)

        threading.Thread(target=run, name="habeat http answer", daemon=True).start()
        return future


def _listening(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # The port is free again as soon as its last user has ended.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address.host, address.port))
        listener.listen(4 * CONNECTIONS_MOST)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _failed(text: str) -> None:
    log_event(EventCode.ENDPOINT_FAILED, text, exc_info=True)


def _resolve(future: asyncio.Future[Answer], answer: Answer) -> None:
    if not future.done():
        future.set_result(answer)
