"""Loads the Lua scripts that the package ships and runs them by their digest.

A script file says in its header what it includes (``-- include: leadership.lua``);
``common.lua`` stands in front of all. Raw EVALSHA does not recover from NOSCRIPT, which is
what a restarted or failed-over server answers, so `run` does.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Protocol

from redis.exceptions import NoScriptError

_INCLUDE = re.compile(r"^-- include: (\S+)$", re.MULTILINE)


class Evaluator(Protocol):
    """The part of a Redis client that runs scripts."""

    def evalsha(self, sha: str, numkeys: int, *keys_and_args: Any) -> Any: ...

    def eval(self, script: str, numkeys: int, *keys_and_args: Any) -> Any: ...


def source(name: str) -> str:
    """The text of a shipped file, as it stands."""
    return (resources.files("habeat.store") / "scripts" / name).read_text("utf-8")


@dataclass(frozen=True, slots=True)
class Script:
    """One script, ready to run: its whole text and the digest Redis knows it by."""

    name: str
    text: str
    sha: str

    def run(self, client: Evaluator, keys: tuple[str, ...], *args: Any) -> Any:
        """Run it; the text is sent only where the server does not have it."""
        try:
            return client.evalsha(self.sha, len(keys), *keys, *args)
        except NoScriptError:
            return client.eval(self.text, len(keys), *keys, *args)


@cache
def script(name: str) -> Script:
    """The script `name`.lua with what it includes."""
    body = source(f"{name}.lua")
    parts = [source("common.lua"), *(source(f) for f in _INCLUDE.findall(body)), body]
    text = "\n".join(parts)
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())
