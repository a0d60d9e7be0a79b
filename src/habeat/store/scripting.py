"""Loads the Lua scripts shipped with the package, and runs them by their digest.

A script names the files it includes in its header (``-- include: leadership.lua``). ``common.lua``
is prepended to every script. After a restart or failover, the server no longer knows the digest and
answers NOSCRIPT; `Script.run` then sends the text.
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
    """The methods of a Redis client that run scripts."""

    def evalsha(self, sha: str, numkeys: int, *keys_and_args: Any) -> Any: ...

    def eval(self, script: str, numkeys: int, *keys_and_args: Any) -> Any: ...


def source(name: str) -> str:
    """The text of a shipped script file, without its includes."""
    return (resources.files("habeat.store") / "scripts" / name).read_text("utf-8")


@dataclass(frozen=True, slots=True)
class Script:
    """One script, ready to run: its complete text, and the digest by which Redis knows it."""

    name: str
    text: str
    sha: str

    def run(self, client: Evaluator, keys: tuple[str, ...], *args: Any) -> Any:
        """Run the script; its text is sent only if the server does not have it."""
        try:
            return client.evalsha(self.sha, len(keys), *keys, *args)
        except NoScriptError:
            return client.eval(self.text, len(keys), *keys, *args)


@cache
def script(name: str) -> Script:
    """The script `name`.lua with its includes."""
    body = source(f"{name}.lua")
    parts = [source("common.lua"), *(source(f) for f in _INCLUDE.findall(body)), body]
    text = "\n".join(parts)
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())
