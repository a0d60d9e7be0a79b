"""Read a pickle as data: nothing in it is imported, called or built.

A pickle is a program that may call anything, so habeat does not run one that another program wrote.
The opcodes are read here, and what they would build is kept as plain values: numbers, texts, lists,
dicts. Where a pickle names something it is a `Name`, and where it would call something it is a
`Call`, with the arguments. The reader of a `Call` decides by its path what it stands for.

Only the opcodes that Python writes in protocols 2 to 5 are known. See decision 0058.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from habeat.errors import HabeatError

#: A pickle of ten thousand entries has about 1.5 million operations.
OPERATIONS_MOST = 5_000_000

_SCALARS = (str, bytes, int, float, bool, type(None))
_MARK = object()


class PickleError(HabeatError):
    """A pickle that cannot be read as data."""


@dataclass(frozen=True, slots=True, eq=False)
class Name:
    """Something that the pickle names: a class or a function of a module."""

    module: str
    name: str


@dataclass(slots=True, eq=False)
class Call:
    """A call that the pickle would make, and the state that it would give to the result."""

    function: Any
    args: Any
    state: Any = None

    @property
    def path(self) -> str:
        """The dotted name of what is called; "" if it is not a plain name."""
        return path_of(self.function)


def path_of(function: Any) -> str:
    """The dotted name of a function or class: a `Name`, or an attribute of one by `getattr`."""
    if isinstance(function, Name):
        return f"{function.module}.{function.name}"
    if isinstance(function, Call) and _is_getattr(function.function):
        owner, attribute = (*_tuple(function.args), None, None)[:2]
        if isinstance(attribute, str) and isinstance(owner, Name):
            return f"{path_of(owner)}.{attribute}"
    return ""


def _is_getattr(function: Any) -> bool:
    return isinstance(function, Name) and path_of(function) == "builtins.getattr"


def data_of(pickle: bytes) -> Any:
    """What the pickle would build, as data; PickleError."""
    try:
        return _Reader().run(pickletools.genops(pickle))
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PickleError(f"it is not a pickle of celery's ({type(error).__name__})") from None


class _Reader:
    """Follows the opcodes with a stack and a memo, as an unpickler would."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, operations: Iterator[tuple[Any, Any, Any]]) -> Any:
        for number, (opcode, argument, _) in enumerate(operations):
            if number >= OPERATIONS_MOST:
                raise PickleError(f"it has more than {OPERATIONS_MOST} operations")
            if opcode.name == "STOP":
                return self._stack.pop()
            self._do(opcode.name, argument)
        raise PickleError("it ends too early")

    def _do(self, name: str, argument: Any) -> None:
        if name in _VALUES:
            self._stack.append(argument)
        elif name in _MADE:
            self._stack.append(_MADE[name]())
        elif name in _TUPLES:
            self._stack.append(tuple(self._pop(_TUPLES[name])))
        elif name in _ACTIONS:
            _ACTIONS[name](self, argument)
        elif name not in ("PROTO", "FRAME"):
            raise PickleError(f"it has the opcode {name}, which celery's pickles do not")

    def _pop(self, count: int) -> list[Any]:
        if count > len(self._stack):
            raise IndexError(count)
        found = self._stack[len(self._stack) - count :]
        del self._stack[len(self._stack) - count :]
        return found

    def _marked(self) -> list[Any]:
        """The values after the last mark."""
        found: list[Any] = []
        while (value := self._stack.pop()) is not _MARK:
            found.append(value)
        return found[::-1]

    def tuple(self, _: Any) -> None:
        self._stack.append(tuple(self._marked()))

    def frozenset(self, _: Any) -> None:
        self._stack.append(self._marked())

    def append(self, _: Any) -> None:
        value = self._stack.pop()
        self._extend([value])

    def appends(self, _: Any) -> None:
        self._extend(self._marked())

    def _extend(self, values: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, list):  # otherwise a class's own contents, which do not matter
            target.extend(values)

    def setitem(self, _: Any) -> None:
        self._update(self._pop(2))

    def setitems(self, _: Any) -> None:
        self._update(self._marked())

    def _update(self, pairs: list[Any]) -> None:
        target = self._stack[-1]
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            # Other keys are left out: hashing a nested key may take forever.
            if isinstance(target, dict) and isinstance(key, _SCALARS):
                target[key] = value

    def memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def put(self, at: Any) -> None:
        self._memo[at] = self._stack[-1]

    def get(self, at: Any) -> None:
        self._stack.append(self._memo[at])

    def name(self, argument: Any) -> None:
        module, _, name = str(argument).partition(" ")
        self._stack.append(Name(module, name))

    def stacked_name(self, _: Any) -> None:
        module, name = self._pop(2)
        self._stack.append(Name(str(module), str(name)))

    def call(self, _: Any) -> None:
        function, args = self._pop(2)
        self._stack.append(Call(function, args))

    def call_with_keywords(self, _: Any) -> None:
        function, args, _keywords = self._pop(3)
        self._stack.append(Call(function, args))

    def build(self, _: Any) -> None:
        state = self._stack.pop()
        if isinstance(made := self._stack[-1], Call):
            made.state = state

    def pop(self, _: Any) -> None:
        self._stack.pop()

    def pop_mark(self, _: Any) -> None:
        self._marked()


_VALUES = frozenset(
    (
        *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"),
        *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    )
)
_MADE: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_SET": list,
    "EMPTY_DICT": dict,
    "MARK": lambda: _MARK,
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_ACTIONS: dict[str, Callable[[_Reader, Any], None]] = {
    "TUPLE": _Reader.tuple,
    "FROZENSET": _Reader.frozenset,
    "APPEND": _Reader.append,
    "APPENDS": _Reader.appends,
    "ADDITEMS": _Reader.appends,
    "SETITEM": _Reader.setitem,
    "SETITEMS": _Reader.setitems,
    "MEMOIZE": _Reader.memoize,
    "BINPUT": _Reader.put,
    "LONG_BINPUT": _Reader.put,
    "BINGET": _Reader.get,
    "LONG_BINGET": _Reader.get,
    "GLOBAL": _Reader.name,
    "STACK_GLOBAL": _Reader.stacked_name,
    "REDUCE": _Reader.call,
    "NEWOBJ": _Reader.call,
    "NEWOBJ_EX": _Reader.call_with_keywords,
    "BUILD": _Reader.build,
    "POP": _Reader.pop,
    "POP_MARK": _Reader.pop_mark,
}


def _tuple(args: Any) -> tuple[Any, ...]:
    return args if isinstance(args, tuple) else ()
