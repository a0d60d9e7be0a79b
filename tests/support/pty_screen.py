"""A program in a terminal of a chosen size, and what its screen shows.

The emulator knows only what `celery … habeat top` writes. Anything else, and text beyond the edge
of the screen, is an error: on a real terminal, it would spoil the picture.
"""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from habeat.cli.wrapping import width_of_character

_SEQUENCE = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z])")
#: Behind a character that takes two columns.
_BEHIND = ""


class Screen:
    """A grid of characters, the cursor, and which of the two buffers is shown."""

    def __init__(self, columns: int, lines: int) -> None:
        self.columns, self.lines = columns, lines
        self.is_second_buffer = False
        self.is_cursor_shown = True
        self.is_coloured = False
        #: What was printed on the first buffer.
        self.printed = ""
        self._clear()
        self._pending = ""

    def _clear(self) -> None:
        self._rows = [[" "] * self.columns for _ in range(self.lines)]
        self._x = self._y = 0

    @property
    def text(self) -> str:
        """The lines of the second buffer."""
        return "\n".join("".join(row).rstrip() for row in self._rows)

    def resize(self, columns: int, lines: int) -> None:
        self.columns, self.lines = columns, lines
        self._clear()

    def feed(self, text: str) -> None:
        text, self._pending = self._pending + text, ""
        while text:
            if text[0] == "\x1b":
                found = _SEQUENCE.match(text)
                if found is None:
                    self._pending = text  # the rest of the sequence is still to come
                    assert len(text) < 20, f"an unknown sequence: {text[:20]!r}"
                    return
                self._do(*found.groups())
                text = text[found.end() :]
            else:
                self._put(text[0])
                text = text[1:]

    def _do(self, private: str, numbers: str, letter: str) -> None:
        if private:
            on = letter == "h"
            if numbers == "1049":
                self.is_second_buffer = on
                self._clear()
            elif numbers == "25":
                self.is_cursor_shown = on
            else:
                assert numbers == "7", f"an unknown mode: {numbers}"
        elif letter == "m":
            self.is_coloured = self.is_coloured or numbers not in ("", "0")
        elif letter == "H":
            self._x = self._y = 0
        elif letter == "K":
            self._rows[self._y][self._x :] = [" "] * (self.columns - self._x)
        else:
            assert letter == "J", f"an unknown sequence: {numbers}{letter}"
            for row in self._rows[self._y + 1 :]:
                row[:] = [" "] * self.columns

    def _put(self, char: str) -> None:
        if not self.is_second_buffer:
            self.printed += char
        elif char == "\r":
            self._x = 0
        elif char == "\n":
            self._y += 1
            assert self._y < self.lines, "the screen was scrolled"
        else:
            assert char.isprintable(), f"a control character: {char!r}"
            width = width_of_character(char)
            assert self._x + width <= self.columns, f"a line is too long: {self._rows[self._y]}"
            if width:
                self._rows[self._y][self._x : self._x + width] = [char, *[_BEHIND] * (width - 1)]
            self._x += width


def _take_terminal() -> None:
    """In the child: make its terminal the one that sends it signals for Ctrl-C and the like."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Program:
    """A process whose terminal this is; used as a context manager, which kills it."""

    def __init__(
        self, argv: Sequence[str], columns: int, lines: int, env: dict[str, str], cwd: Any = None
    ) -> None:
        self._fd, terminal = pty.openpty()
        self._resize(columns, lines)
        self.mode = termios.tcgetattr(terminal)
        self.screen = Screen(columns, lines)
        self.process = subprocess.Popen(
            argv,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env={**env, "TERM": "xterm", "PYTHONIOENCODING": "utf-8"},
            cwd=cwd,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        self._terminal = terminal
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._fd)
        os.close(self._terminal)

    @property
    def mode_now(self) -> list[Any]:
        """How the terminal treats keys."""
        return termios.tcgetattr(self._terminal)

    def press(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        self._resize(columns, lines)
        self.screen.resize(columns, lines)
        self.process.send_signal(signal.SIGWINCH)

    def _resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def until(self, found: Callable[[Screen], Any], timeout_s: float = 30) -> str:
        """The text of the screen as soon as this is true of it."""
        end = time.monotonic() + timeout_s
        while not found(self.screen):
            assert time.monotonic() < end, self.screen.text + self.screen.printed
            self._read(0.1)
        return self.screen.text

    def exit_status(self, timeout_s: float = 30) -> int:
        """Its exit status, after what it wrote last was read."""
        end = time.monotonic() + timeout_s
        while self.process.poll() is None:
            assert time.monotonic() < end, self.screen.text
            self._read(0.1)
        while self._read(0.0):
            pass
        return self.process.returncode

    def _read(self, timeout_s: float) -> bool:
        if not select.select([self._fd], [], [], timeout_s)[0]:
            return False
        self.screen.feed(self._decoder.decode(os.read(self._fd, 65_536)))
        return True
