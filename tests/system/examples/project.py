"""An example as its README runs it: a copy of its folder, with real processes and a real Redis."""

from __future__ import annotations

import json
import shutil
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from habeat import Client
from tests import ROOT
from tests.support.servers.children import free_port
from tests.support.servers.needs import need
from tests.support.servers.processes import CeleryProcess, Processes, until
from tests.support.servers.redis_server import Server


@dataclass
class Project:
    """The processes of one example."""

    folder: Path
    app: str
    processes: Processes
    client: Client
    env: dict[str, str]

    def beat(self, entry: str = "") -> CeleryProcess:
        """A beat that leads, and has stored this entry of its code."""
        beat = self.processes.beat(self.app, ["-l", "INFO"], env=self.env, cwd=self.folder)
        until(lambda: self.client.status().leader is not None, 20, beat.log)
        until(lambda: not entry or any(self.client.list(prefix=entry)), 20, beat.log)
        return beat

    def worker(self, *words: str) -> CeleryProcess:
        return self.processes.worker(self.app, ["-l", "INFO", *words], self.env, self.folder)

    def web(self, *words: str) -> Web:
        """The web application, started by `python -m` with these words; it takes a port."""
        port = free_port()
        process = self.processes.python("-m", [*words, str(port)], self.env, self.folder)
        web = Web(f"http://127.0.0.1:{port}")
        until(lambda: web.answers, 20, process.log)
        return web

    def rows(self, file: str, query: str) -> list[Any]:
        """What SQLite answers; [] while the table is not there yet."""
        with closing(sqlite3.connect(self.folder / file, timeout=10)) as db:
            try:
                return db.execute(query).fetchall()
            except sqlite3.OperationalError:
                return []


@dataclass
class Web:
    """A web application's URL."""

    url: str

    def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """The status, and the JSON of the answer."""
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    @property
    def answers(self) -> bool:
        try:
            urllib.request.urlopen(self.url + "/none", timeout=5)
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True


def project_in(
    name: str, app: str, folder: Path, processes: Processes, server: Server, **env: str
) -> Iterator[Project]:
    """The example of this name, copied to `folder`."""
    copy = folder / name
    shutil.copytree(ROOT / "examples" / name, copy)
    url = server.url()
    with Client(url, prefix=f"habeat:{app}") as client:
        yield Project(copy, app, processes, client, {"REDIS_URL": url, **env})


def needs(*modules: str) -> None:
    """Skip if a web framework is not installed, or fail in CI; `make test` installs all of them."""
    for module in modules:
        need(module, find_spec(module) is not None, "it comes with the extra `test`")
