"""An in-memory model of a Redis server, in which the shipped scripts run unchanged.

It is written in Lua (`commands.lua`, `model.lua`) and runs beside the scripts in one Lua state,
for a script call is then one crossing from Python and not one per `redis.call`. Python owns the
clock, and hears of what was said on channels and of the writes that a checker asks for.
`tests/integration/conformance` holds the model to real servers.

All servers of a process share the Lua state and the compiled scripts; each has its own data.
LuaJIT is used where lupa has it, else Lua 5.1, which is what Redis has; the two give the same
runs (a test compares them), one of them faster.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from redis.exceptions import NoScriptError

Words = tuple[bytes, ...]

HERE = Path(__file__).parent
LUAS = ("luajit21", "lua51")
#: A call with more words than this hands them over as a table: a C stack has an end.
MANY = 4_000


class ReplyError(Exception):
    """What a server answers with a minus sign."""


class Lua:
    """One Lua state with the model in it."""

    def __init__(self, module: str) -> None:
        state = import_module(f"lupa.{module}").LuaRuntime(
            unpack_returned_tuples=True, encoding=None, register_eval=False
        )
        state.globals()[b"python_sha1"] = lambda text: _sha1(text)
        text = (HERE / "commands.lua").read_bytes() + (HERE / "model.lua").read_bytes()
        parts = state.execute(text)
        names = "new compiled script script_with command rest snapshot restore empty watch "
        names += "listen limits"
        for name in names.split():
            setattr(self, name, parts[name.encode()])
        self.scripts: dict[str, Any] = {}
        self.keys: dict[Words, Any] = {}
        self.table_from = state.table_from

    def script_of(self, text: str) -> Any:
        """The compiled script, from the cache if it was seen before."""
        found = self.scripts.get(text)
        if found is None:
            found = self.scripts[text] = self.compiled(text.encode())  # type: ignore[attr-defined]
        return found

    def keys_of(self, keys: Words) -> Any:
        """KEYS as a table; the same few are used again and again."""
        found = self.keys.get(keys)
        if found is None:
            if len(self.keys) > 1_000:
                self.keys.clear()
            found = self.keys[keys] = self.table_from([_bytes(key) for key in keys])
        return found


@cache
def lua_state(module: str = "") -> Lua:
    """The Lua state of this process: the first kind that this lupa has, or the one named."""
    for name in (module,) if module else LUAS:
        try:
            return Lua(name)
        except ImportError:
            continue
    raise ImportError("this lupa has neither LuaJIT 2.1 nor Lua 5.1")


class Server:
    """One server: data, subscriptions, a clock in microseconds that the test owns."""

    def __init__(self, now_us: Callable[[], int], lua: Lua | None = None) -> None:
        self.now_us = now_us
        self.on_publish: Callable[[bytes, bytes], None] = lambda channel, message: None
        #: Hears each write that is watched, and `after_script` the end of what wrote them.
        self.on_write: Callable[[Words], None] = lambda words: None
        self.after_script: Callable[[], None] = lambda: None
        self.subscribers: dict[bytes, dict[Any, None]] = {}
        self._lua: Any = lua or lua_state()
        self._server = self._lua.new()
        self._scripts: dict[str, Any] = {}

    # -- data -------------------------------------------------------------------------------

    def snapshot(self) -> Any:
        """The data as it is now, for `restore`."""
        return self._lua.snapshot(self._server)

    def restore(self, snapshot: Any) -> None:
        self._lua.restore(self._server, snapshot)

    def empty(self) -> None:
        self._lua.empty(self._server)

    def forget_scripts(self) -> None:
        """Like a restarted server: every script is unknown."""
        self._scripts.clear()

    def know_scripts(self, texts: Iterable[tuple[str, str]]) -> None:
        """As a server that has been used before: these (digest, text) are loaded."""
        script_of = self._lua.script_of
        self._scripts.update({sha: script_of(text) for sha, text in texts})

    def watch(self, base: str = "") -> None:
        """Tell `on_write` of the writes under this prefix that a checker needs; "" of all."""
        self._lua.watch(self._server, base.encode())

    def limit(self, *, read_only: bool = False, no_memory: bool = False) -> None:
        """Refuse writes from now on, as a replica or for want of memory; without, no more."""
        self._lua.limits(self._server, read_only, no_memory)

    # -- channels ---------------------------------------------------------------------------

    def subscribe(self, channel: bytes, who: Any) -> None:
        self.subscribers.setdefault(channel, {})[who] = None
        self._lua.listen(self._server, channel, len(self.subscribers[channel]))

    def unsubscribe(self, channel: bytes, who: Any) -> None:
        listening = self.subscribers.get(channel, {})
        listening.pop(who, None)
        self._lua.listen(self._server, channel, len(listening))

    # -- calls ------------------------------------------------------------------------------

    def call(self, *words: Any) -> Any:
        """One command as a client sends it; ReplyError."""
        return self._answer(
            *self._lua.command(self._server, self.now_us(), *[_bytes(word) for word in words])
        )

    def evalsha(self, sha: str, text: str | None, keys: Iterable[Any], args: Iterable[Any]) -> Any:
        """Run a script, atomically; `text` is needed the first time."""
        script = self._scripts.get(sha)
        if script is None:
            if text is None:
                raise NoScriptError("NOSCRIPT No matching script.")
            script = self._scripts[sha] = self._lua.script_of(text)
        words = [
            word
            if type(word) is bytes
            else word.encode()
            if type(word) is str
            else b"%d" % word
            if type(word) is int
            else _bytes(word)
            for word in args
        ]
        table = self._lua.keys_of(keys if type(keys) is tuple else tuple(keys))
        if len(words) > MANY:
            words, call = [self._lua.table_from(words)], self._lua.script_with
        else:
            call = self._lua.script
        return self._answer(*call(self._server, self.now_us(), script, table, *words))

    def _answer(self, error: Any, logged: int, size: int, *flat: Any) -> Any:
        ends = size + logged
        while len(flat) < ends:
            more = self._lua.rest(len(flat) + 1)
            flat += more if type(more) is tuple else (more,)
        if logged:
            self._tell(flat, size, ends)
            flat = flat[:size]
        if error:
            raise ReplyError(error.decode("utf-8", "backslashreplace"))
        return _nested(flat)

    def _tell(self, flat: tuple[Any, ...], at: int, ends: int) -> None:
        wrote, on_write = False, self.on_write
        while at < ends:
            end = at + 1 + flat[at]
            write = flat[at + 1 : end]
            at = end
            if write[0] == b"PUBLISH":
                self.on_publish(write[1], write[2])
            else:
                on_write(write)
                wrote = True
        if wrote:
            self.after_script()


def _nested(flat: tuple[Any, ...]) -> Any:
    """A reply made of its flat form: `True, how many` stands in front of a table's items."""
    if flat[0] is not True:
        return None if flat[0] is False else flat[0]
    top: list[Any] = []
    inside, left, above = top, flat[1], []
    at, ends = 2, len(flat)
    while at < ends:
        word = flat[at]
        at += 1
        left -= 1
        if word is True:
            inner: list[Any] = []
            inside.append(inner)
            above.append((inside, left))
            inside, left = inner, flat[at]
            at += 1
        else:
            inside.append(None if word is False else word)
        while not left and above:
            inside, left = above.pop()
    return top


def _bytes(word: Any) -> bytes:
    if type(word) is bytes:
        return word
    if isinstance(word, str):
        return word.encode()
    if isinstance(word, float):
        return b"%d" % int(word) if word == int(word) else repr(word).encode()
    return b"%d" % word


def _sha1(text: bytes) -> bytes:
    return hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()
