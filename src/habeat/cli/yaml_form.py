"""Documents of `export` and `load` as YAML: JSON's values, in a form that is easier to edit.

A document that is written and read again is the same, whatever its texts look like. So every text
that some reader of YAML might take for something else ("yes", "08:00", "2026-01-01", "1e3") is
written in quotes. Reading is strict in the other direction: only what JSON knows has a type (true,
false, null and numbers), and everything else is text, so that a date that a person writes without
quotes stays a text.

The file may come from anywhere. There are no tags, no objects and no merge keys, a key may occur
only once, and depth, size and what aliases expand to are limited.
"""

from __future__ import annotations

import re
from typing import Any

from habeat.errors import HabeatError

#: The most characters of a file, levels of nesting, and values once aliases are expanded.
CHARS_MAX = 50_000_000
DEPTH_MAX = 64
VALUES_MAX = 2_000_000

#: Texts that no reader of YAML takes for anything but text are written without quotes.
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:[./-][A-Za-z0-9_]+)*", re.ASCII)
_WORDS = frozenset(["yes", "no", "on", "off", "y", "n", "true", "false", "null", "nan", "inf"])

_INT = re.compile(r"-?(?:0|[1-9][0-9]*)", re.ASCII)
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_TEXT = "tag:yaml.org,2002:str"
_CONSTANTS = {"true": True, "false": False, "null": None, "~": None, "": None}


class YamlMissing(HabeatError):
    """PyYAML is not installed."""

    def __init__(self) -> None:
        super().__init__("YAML needs PyYAML: pip install 'habeat[yaml]'")


def to_yaml(document: Any) -> str:
    """The document, of plain JSON values, as YAML."""
    yaml = _yaml()

    class Dumper(yaml.SafeDumper):  # type: ignore[name-defined]
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: Any, value: str) -> Any:
        plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
        style = None if plain else '"'
        return dumper.represent_scalar(_TEXT, value, style=style)

    def number(dumper: Any, value: float) -> Any:
        written = repr(value)
        if "." not in written:  # 1e-05: PyYAML takes only 1.0e-05 for a number
            written = written.replace("e", ".0e")
        return dumper.represent_scalar("tag:yaml.org,2002:float", written)

    Dumper.add_representer(str, text)
    Dumper.add_representer(float, number)
    written: str = yaml.dump(
        document, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=1_000_000
    )
    if written.replace("\n", "").isprintable():
        return written
    # Such characters occur only in texts in quotes, where each has its escape.
    return "".join(c if c == "\n" or c.isprintable() else _escaped(c) for c in written)


def _escaped(char: str) -> str:
    code = ord(char)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def from_yaml(text: str) -> Any:
    """The document in a YAML text; ValueError, in words, if it is not one, or too large."""
    yaml = _yaml()
    if len(text) > CHARS_MAX:
        raise ValueError(f"larger than {CHARS_MAX} characters")
    try:
        loader = yaml.SafeLoader(text)
        try:
            return _Reading(yaml, loader).document()
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark is not None else ""
        raise ValueError(f"{getattr(error, 'problem', None) or error}{where}") from error


class _Reading:
    """Builds plain values from PyYAML's events: no resolver and no constructor has a say."""

    def __init__(self, yaml: Any, loader: Any) -> None:
        self._yaml = yaml
        self._loader = loader
        self._anchors: dict[str, tuple[Any, int]] = {}

    def document(self) -> Any:
        events = self._yaml.events
        self._loader.get_event()
        if self._loader.check_event(events.StreamEndEvent):
            return None
        self._loader.get_event()
        value, _ = self._value(0)
        self._loader.get_event()
        if not self._loader.check_event(events.StreamEndEvent):
            raise ValueError("more than one document")
        return value

    def _value(self, depth: int) -> tuple[Any, int]:
        """The next value, and how many values it consists of, aliases expanded."""
        events, event = self._yaml.events, self._loader.get_event()
        line = event.start_mark.line + 1
        if depth > DEPTH_MAX:
            raise ValueError(f"nested deeper than {DEPTH_MAX} levels in line {line}")
        if isinstance(event, events.AliasEvent):
            if event.anchor not in self._anchors:
                raise ValueError(f"alias in line {line} that is not defined before it")
            return self._anchors[event.anchor]
        if event.tag not in (None, "!", _TEXT):
            raise ValueError(f"tag {event.tag} in line {line}: only plain values are read")
        if isinstance(event, events.ScalarEvent):
            found = (_scalar(event), 1)
        elif isinstance(event, events.SequenceStartEvent):
            found = self._sequence(depth)
        else:
            found = self._mapping(depth, line)
        if found[1] > VALUES_MAX:
            raise ValueError(f"more than {VALUES_MAX} values in line {line}")
        if event.anchor is not None:
            self._anchors[event.anchor] = found
        return found

    def _sequence(self, depth: int) -> tuple[Any, int]:
        values, size = [], 1
        while not self._loader.check_event(self._yaml.events.SequenceEndEvent):
            value, more = self._value(depth + 1)
            values.append(value)
            size = self._grown(size, more)
        self._loader.get_event()
        return values, size

    def _mapping(self, depth: int, line: int) -> tuple[Any, int]:
        values: dict[str, Any] = {}
        size = 1
        while not self._loader.check_event(self._yaml.events.MappingEndEvent):
            key_event = self._loader.peek_event()
            key, _ = self._value(depth + 1)
            if not isinstance(key, str):
                key = getattr(key_event, "value", None)
            if not isinstance(key, str):
                raise ValueError(f"a key that is not text in the mapping of line {line}")
            if key in values:
                raise ValueError(f"the key {key!r} twice in the mapping of line {line}")
            values[key], more = self._value(depth + 1)
            size = self._grown(size, more)
        self._loader.get_event()
        return values, size

    def _grown(self, size: int, more: int) -> int:
        if size + more > VALUES_MAX:
            raise ValueError(f"more than {VALUES_MAX} values: aliases expand to too many")
        return size + more


def _scalar(event: Any) -> Any:
    text = event.value
    if event.style is not None or event.tag is not None:  # in quotes, or a block
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INT.fullmatch(text) and len(text) <= 4_000:
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _yaml() -> Any:
    try:
        import yaml
    except ImportError as error:
        raise YamlMissing from error
    return yaml
