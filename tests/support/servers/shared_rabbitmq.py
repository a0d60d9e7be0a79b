"""One RabbitMQ for all processes of a test run: starting one costs seconds of both cores.

The first process that wants it starts it and writes its address into a file. Every user holds a
shared lock on another file until its session ends. The process that started the broker waits for
those locks before it ends the broker; the kernel releases the lock of a process that dies.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.support.servers.rabbitmq import RabbitMQNode, node_of_text, start_rabbitmq


def join(folder: Path) -> tuple[RabbitMQNode, Callable[[], None]]:
    """The broker of the processes that share `folder`, and what to call when it is not needed."""
    address = folder / "rabbitmq.address"
    with _locked(folder / "rabbitmq.lock"):
        if address.exists():
            node = node_of_text(address.read_text())
            return node, _use(node).close
        broker = start_rabbitmq()
        use = _use(broker)
        address.write_text(broker.as_text())

    def leave() -> None:
        with _locked(folder / "rabbitmq.lock"):
            address.unlink()  # who comes now starts another
        fcntl.flock(use, fcntl.LOCK_EX)
        use.close()
        broker.dispose()

    return broker, leave


def _use(node: RabbitMQNode) -> IO[str]:
    users = (node.folder / "users").open("a")
    fcntl.flock(users, fcntl.LOCK_SH)
    return users


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
