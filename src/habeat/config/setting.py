"""One setting as a user writes it: how its value is read, and why a value is refused.

Users write durations in seconds or as a timedelta; inside they are whole milliseconds.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Literal, TypeVar

from habeat.config import web
from habeat.config.address import Address, parsed_address
from habeat.errors import SettingsError

PREFIX = "habeat_"

Value = TypeVar("Value")

Kind = Literal[
    "duration",
    "count",
    "rate",
    "choice",
    "text",
    "url",
    "options",
    "path",
    "switch",
    "names",
    "address",
    "secret",
    "web",
    "headers",
    "pings",
]

# A longer duration is surely a mistaken unit.
LONGEST_S = 10 * 365 * 86_400
# The highest rate that a setting or an entry may request of a leader.
FASTEST_PER_S = 1_000
# The longest list of names.
NAMES_MOST = 100
# A shorter secret could be guessed.
SECRET_LEAST_CHARS = 16


_ALLOWED: Mapping[Kind, str] = {
    "url": "a URL, or a list of the URLs of one group of Sentinels",
    "options": "a mapping with string keys",
    "path": "the path of a file",
    "text": "text without braces or whitespace",
    "switch": "True or False",
    "address": "an IP address and a port, as in '127.0.0.1:9191' or '[::1]:9191'",
    "secret": f"at least {SECRET_LEAST_CHARS} visible ASCII characters without spaces",
    "web": "an http or https URL without spaces and fragment",
    "headers": "a mapping of header names to values of visible ASCII characters",
    "pings": (
        "a mapping of entry names to http or https URLs, or to mappings of 'start', 'success' and "
        "'fail' to them"
    ),
    "names": f"a list of {NAMES_MOST} names at most, a star only at the end ('billing.*')",
}


@dataclass(frozen=True)
class Setting:
    """One setting as a user writes it.

    `default` and `least` are in the user's unit: seconds for a duration. `because` explains the
    lower bound. With `off_at_zero`, 0 is allowed as well as values from `least` up.
    """

    name: str
    kind: Kind
    default: object
    least: float = 0
    because: str = ""
    off_at_zero: bool = False
    choices: tuple[str, ...] = ()

    @property
    def attribute(self) -> str:
        """The field of `Settings`: the name without the prefix, with its unit."""
        bare = self.name.removeprefix(PREFIX)
        return f"{bare}_ms" if self.kind == "duration" else bare

    @property
    def allowed(self) -> str:
        """What is allowed, worded to follow "expected"."""
        off = "0 (off) or " if self.off_at_zero else ""
        why = f" ({self.because})" if self.because else ""
        match self.kind:
            case "duration":
                return f"{off}seconds as a number or a timedelta, at least {self.least:g}{why}"
            case "count":
                return f"a whole number, at least {self.least:g}{why}"
            case "rate":
                return f"a number more than {self.least:g} and at most {FASTEST_PER_S:g}{why}"
            case "choice":
                return "one of " + ", ".join(repr(choice) for choice in self.choices)
            case _:
                return _ALLOWED[self.kind]

    def read(self, given: object) -> object:
        """The value kept in `Settings` for what the user wrote; None means the default.

        Raises SettingsError, in one sentence, if the value is not allowed.
        """
        value = self.default if given is None else given
        if value is None:
            return None
        return _READERS[self.kind](self, value)

    def refusal(self, value: object) -> SettingsError:
        """The error for a value that is not allowed; it never shows a value that may be secret."""
        secret = self.kind in ("url", "options", "secret", "web", "headers", "pings")
        shown = f"of type {type(value).__name__}" if secret else repr(value)
        return SettingsError(self.name, f"invalid {self.name} {shown}: expected {self.allowed}")

    def _duration_ms(self, value: object) -> int:
        if isinstance(value, timedelta):
            seconds = value.total_seconds()
        elif isinstance(value, int | float) and not isinstance(value, bool):
            seconds = value
        else:
            raise self.refusal(value)
        off = self.off_at_zero and seconds == 0
        if not math.isfinite(seconds) or (seconds < self.least and not off):
            raise self.refusal(value)
        if seconds > LONGEST_S:
            raise SettingsError(
                self.name, f"invalid {self.name} {value!r}: expected at most ten years"
            )
        return round(seconds * 1000)

    def _count(self, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < self.least:
            raise self.refusal(value)
        return value

    def _rate(self, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.refusal(value)
        if not self.least < value <= FASTEST_PER_S:
            raise self.refusal(value)
        return float(value)

    def _switch(self, value: object) -> bool:
        if not isinstance(value, bool):
            raise self.refusal(value)
        return value

    def _names(self, value: object) -> tuple[str, ...]:
        if not isinstance(value, list | tuple | set | frozenset) or len(value) > NAMES_MOST:
            raise self.refusal(value)
        names = [name for name in value if isinstance(name, str) and name]
        if len(names) != len(value) or any("*" in name[:-1] for name in names):
            raise self.refusal(value)
        return tuple(sorted(names))

    def _choice(self, value: object) -> str:
        if not isinstance(value, str) or value not in self.choices:
            raise self.refusal(value)
        return value

    def _options(self, value: object) -> Mapping[str, object]:
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise self.refusal(value)
        return MappingProxyType(dict(value))

    def _path(self, value: object) -> str:
        path = os.fspath(value) if isinstance(value, os.PathLike) else value
        if not isinstance(path, str) or not path:
            raise self.refusal(value)
        return path

    def _address(self, value: object) -> Address:
        found = parsed_address(value) if isinstance(value, str) else None
        if found is None:
            raise self.refusal(value)
        return found

    def _secret(self, value: object) -> str:
        least = SECRET_LEAST_CHARS
        if not isinstance(value, str) or not re.fullmatch(rf"[!-~]{{{least},}}", value):
            raise self.refusal(value)
        return value

    def _text(self, value: object) -> str:
        # A brace would end the hash tag that keeps all keys in one hash slot of a Cluster.
        if not isinstance(value, str) or not re.fullmatch(r"[^\s{}]+", value):
            raise self.refusal(value)
        return value

    def _url(self, value: object) -> str:
        parts = list(value) if isinstance(value, list | tuple) else [value]
        texts = [part for part in parts if isinstance(part, str) and part.strip()]
        if not texts or len(texts) != len(parts):
            raise self.refusal(value)
        return ";".join(texts)

    def _web(self, value: object) -> web.WebUrl:
        return self._found(web.web_url(value), value)

    def _headers(self, value: object) -> web.Headers:
        return self._found(web.headers(value), value)

    def _pings(self, value: object) -> Mapping[str, Mapping[str, web.WebUrl]]:
        return self._found(web.pings(value), value)

    def _found(self, found: Value | None, value: object) -> Value:
        if found is None:
            raise self.refusal(value)
        return found


_READERS: Mapping[Kind, Callable[[Setting, object], object]] = {
    "duration": Setting._duration_ms,
    "count": Setting._count,
    "rate": Setting._rate,
    "choice": Setting._choice,
    "options": Setting._options,
    "path": Setting._path,
    "url": Setting._url,
    "text": Setting._text,
    "switch": Setting._switch,
    "names": Setting._names,
    "address": Setting._address,
    "secret": Setting._secret,
    "web": Setting._web,
    "headers": Setting._headers,
    "pings": Setting._pings,
}
