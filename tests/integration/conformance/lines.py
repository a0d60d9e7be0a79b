"""Which lines of the shipped scripts were run, by Lua's own debug hook in the model's state.

It uses Lua 5.1, because LuaJIT runs no hook in code that it has compiled. The lines that can run
are read from the compiled script, in which each instruction has its line.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

from lupa.lua51 import LuaRuntime

from habeat.store.scripting import script, source
from tests.integration.conformance.sides import ModelSide
from tests.integration.conformance.steps import Step, prologue, shipped
from tests.verification.simulation.model import Lua

Line = tuple[str, int]  # of a file

#: Empty lines in front of what is watched: the hook knows the model's own lines by their numbers.
_FAR = 10_000
_WATCH = b"""
return function(seen)
  debug.sethook(seen and function(_, line)
    if line > 10000 then
      seen[line] = true
    end
  end, seen and 'l')
end
"""


class WatchedModel(ModelSide):
    """The model's side, which notes the lines that are run."""

    def __init__(self) -> None:
        lua = Lua("lua51")
        super().__init__(lua)
        state = lua.table_from.__self__
        self._watch = state.execute(_WATCH)
        self._seen = {name: state.table_from([]) for name in shipped()}
        self._done: set[Line] = set()
        self._asked: Counter[str] = Counter()

    def ask(self, step: Step) -> Any:
        """The reply alone."""
        if step.name not in self._seen:
            return super().ask(step)
        self._watch(self._seen[step.name])
        try:
            return super().ask(step)
        finally:
            self._watch(None)
            self._asked[step.name] += 1
            if self._asked[step.name] % 16 == 0:
                self._leave_alone_what_is_known()

    def text_of(self, name: str) -> str:
        return "\n" * _FAR + super().text_of(name)

    def _leave_alone_what_is_known(self) -> None:
        """Watching is slow, so it is off where nothing new can be seen."""
        unseen = {file for file, _ in lines_to_run().keys() - self.lines_run()}
        for name in [*self._seen]:
            if unseen.isdisjoint(file for file, _ in _places(name).values()):
                self._done |= self._lines_of_script(name)
                del self._seen[name]

    def lines_run(self) -> set[Line]:
        """All that were run so far."""
        return self._done.union(*(self._lines_of_script(name) for name in self._seen))

    def _lines_of_script(self, name: str) -> set[Line]:
        before = _FAR + prologue("order").count("\n") + 1
        places = _places(name)
        return {places[at - before] for at in self._seen[name] if at - before in places}


@cache
def lines_to_run() -> dict[Line, str]:
    """All lines of all scripts in which something is done, with their text."""
    found: dict[Line, str] = {}
    for name in shipped():
        places, text = _places(name), script(name).text.split("\n")
        for number in _lines_of(script(name).text):
            line = text[number - 1].strip()
            if number in places and not re.match(r"(end|else|until)\b|[)}]", line):
                found[places[number]] = line
    return found


@cache
def _places(name: str) -> dict[int, Line]:
    """Where each line of a script's whole text comes from: files, with an empty line between."""
    body = f"{name}.lua"
    files = ["common.lua", *re.findall(r"^-- include: (\S+)$", source(body), re.MULTILINE), body]
    places, at = {}, 0
    for file in files:
        count = source(file).count("\n")
        places |= {at + number: (file, number) for number in range(1, count + 1)}
        at += count + 1
    return places


def _lines_of(text: str) -> set[int]:
    state = LuaRuntime(encoding=None)
    dump = state.execute(b"return function(text) return string.dump(loadstring(text)) end")
    return set(_Chunk(dump(text.encode())).lines())


class _Chunk:
    """A compiled chunk of Lua 5.1, read for the lines of its instructions."""

    def __init__(self, raw: bytes) -> None:
        self._raw, self._at = raw, 12

    def _take(self, form: str) -> int:
        size = struct.calcsize(form)
        self._at += size
        return int(struct.unpack_from(form, self._raw, self._at - size)[0])

    def _skip(self, size: int) -> None:
        self._at += size

    def _skip_string(self) -> None:
        self._skip(self._take("@N"))

    def lines(self) -> Iterator[int]:
        """Of a function and all within; without the return that ends each of them unasked."""
        self._skip_string()
        self._skip(2 * 4 + 4)  # where it is defined; counts of upvalues, parameters, registers
        self._skip(self._take("@i") * 4)
        for _ in range(self._take("@i")):
            self._skip_constant()
        for _ in range(self._take("@i")):
            yield from self.lines()
        own = [self._take("@i") for _ in range(self._take("@i"))]
        for _ in range(self._take("@i")):
            self._skip_string()
            self._skip(2 * 4)
        for _ in range(self._take("@i")):
            self._skip_string()
        yield from own[:-1]

    def _skip_constant(self) -> None:
        kind = self._take("@B")
        if kind == 4:
            self._skip_string()
        else:
            self._skip({0: 0, 1: 1, 3: 8}[kind])
