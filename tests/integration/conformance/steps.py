"""What is done to every side: one step is one command, given so that it can be given again.

A step holds nothing that depends on an answer, so a list of steps is a play that can be repeated
and shortened without drawing it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from habeat.store import scripting
from habeat.store.keys import Keys
from habeat.store.scripting import script

KEYS = Keys("habeat:conformance")
#: The year 2100: the times of a play never come on the clock of a real server.
START_US = 4_102_444_800_000_000

Word = bytes | str | int
_LUA = Path(__file__).parent / "lua"
_SCRIPTS = Path(scripting.__file__).parent / "scripts"
PLAIN, LISTEN, UNLISTEN = "redis", "listen", "unlisten"


@dataclass(frozen=True, slots=True)
class Step:
    """At a moment of the clock, `name` with `args`.

    A script; or `redis`, a plain command; or `listen` and `unlisten`, a subscriber that comes to
    or leaves the channel of a nonce. `deaf`: the script's user may not call PUBSUB.
    """

    at_us: int
    name: str
    args: tuple[Word, ...] = ()
    deaf: bool = False

    def __str__(self) -> str:
        words = " ".join(_shown(word) for word in self.args)
        deaf = " (PUBSUB denied)" if self.deaf else ""
        return f"{(self.at_us - START_US) / 1e6:+12.6f}  {self.name}{deaf} {words}"


def _shown(word: Word) -> str:
    raw = word if isinstance(word, bytes) else str(word).encode()
    text = raw.decode("utf-8", "backslashreplace")
    return text if text and not set(text) & set(" \n'") else repr(text)


def shipped() -> frozenset[str]:
    """The names of all scripts: the files of the folder that no other file includes."""
    texts = {path.name: path.read_text("utf-8") for path in _SCRIPTS.glob("*.lua")}
    parts = {"common.lua"} | {
        name for name in texts for text in texts.values() if f"-- include: {name}\n" in text
    }
    return frozenset(name.removesuffix(".lua") for name in set(texts) - parts)


@cache
def prologue(name: str) -> str:
    """One of the texts that stand in front of a script here."""
    return (_LUA / f"{name}.lua").read_text("utf-8")


@cache
def text_of(name: str, prologues: Sequence[str]) -> str:
    """What a side runs for the script `name`, or for a plain command."""
    body = "return redis.call(unpack(ARGV))" if name == PLAIN else script(name).text
    return "\n".join([*(prologue(part) for part in prologues), body])
