"""The terminal as a whole screen: its size, its keys, and its state, which is always restored.

The screen is drawn on the terminal's second buffer, so what was printed before stays. On the way
out, whatever the way (q, Ctrl-C, SIGTERM, SIGHUP, an exception), the first buffer, the cursor and
the mode of the keyboard come back. Ctrl-Z restores them, too, until the process continues.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import select
import signal
import termios
import tty
from collections.abc import Iterator, Sequence
from types import FrameType, TracebackType
from typing import Any, Self

_ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l"
_LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
_HOME, _TO_END_OF_LINE, _TO_END = "\x1b[H", "\x1b[K", "\x1b[J"
_ENDING = (signal.SIGTERM, signal.SIGHUP)
READ_AT_ONCE = 1_024
#: The size where the terminal does not tell it.
USUAL = os.terminal_size((80, 24))

ESCAPE, ENTER, BACKSPACE = "\x1b", "\n", "\x7f"


class Terminal:
    """Draws lines, and waits for keys; used as a context manager, in the main thread."""

    def __init__(self, keyboard: int, screen: int, encoding: str = "utf-8") -> None:
        """The file descriptors of the keyboard and of the screen."""
        self._keyboard, self._screen, self._encoding = keyboard, screen, encoding
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._wake_read, self._wake_write = os.pipe()
        for end in (self._wake_read, self._wake_write):
            os.set_blocking(end, False)
        self._handlers: dict[int, Any] = {}
        self._mode: list[Any] = []
        self._shown: Sequence[str] = ()

    def __enter__(self) -> Self:
        self._mode = termios.tcgetattr(self._keyboard)
        for number in _ENDING:
            self._handlers[number] = signal.signal(number, _end)
        # A shell that started us in the background may have left Ctrl-C ignored.
        interrupt = signal.default_int_handler
        self._handlers[signal.SIGINT] = signal.signal(signal.SIGINT, interrupt)
        self._handlers[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, self._resized)
        self._handlers[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, self._stopped)
        try:
            self._take()
        except BaseException:
            self._restore()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()

    def _take(self) -> None:
        tty.setcbreak(self._keyboard, termios.TCSANOW)
        self._shown = ()
        self._write(_ENTER)

    def _give(self) -> None:
        with contextlib.suppress(OSError, termios.error):  # the terminal may be gone
            self._write(_LEAVE)
            termios.tcsetattr(self._keyboard, termios.TCSANOW, self._mode)

    def _restore(self) -> None:
        self._give()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        for end in (self._wake_read, self._wake_write):
            os.close(end)

    # -- size and keys ----------------------------------------------------------------------

    @property
    def size(self) -> os.terminal_size:
        """Columns and lines, as they are now."""
        try:
            found = os.get_terminal_size(self._screen)
        except OSError:
            return USUAL
        return found if found.columns and found.lines else USUAL

    def wake(self) -> None:
        """End a wait, from any thread."""
        with contextlib.suppress(OSError, ValueError):  # full: it wakes anyway; closed: it is over
            os.write(self._wake_write, b".")

    def wait(self, seconds: float) -> list[str]:
        """The keys that were pressed, at most this long after; none if something else happened."""
        ready, _, _ = select.select([self._keyboard, self._wake_read], [], [], seconds)
        if self._wake_read in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_read, READ_AT_ONCE)
        if self._keyboard not in ready:
            return []
        data = os.read(self._keyboard, READ_AT_ONCE)
        if not data:  # the terminal is gone
            raise SystemExit(128 + signal.SIGHUP)
        return list(_keys(self._decoder.decode(data)))

    # -- drawing ----------------------------------------------------------------------------

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines, none of them wider than the terminal; only what differs is written."""
        if lines == self._shown:
            return
        body = f"{_TO_END_OF_LINE}\r\n".join(lines)
        self._write(f"{_HOME}{body}{_TO_END_OF_LINE}{_TO_END}")
        self._shown = list(lines)

    def _write(self, text: str) -> None:
        data = text.encode(self._encoding, "replace")
        while data:
            data = data[os.write(self._screen, data) :]

    # -- signals ----------------------------------------------------------------------------

    def _resized(self, number: int, frame: FrameType | None) -> None:
        self._shown = ()
        self.wake()

    def _stopped(self, number: int, frame: FrameType | None) -> None:
        self._give()
        os.kill(os.getpid(), signal.SIGSTOP)  # until the shell continues it
        self._take()
        self.wake()


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _keys(text: str) -> Iterator[str]:
    """The keys in what was read: characters, without the sequences of arrows and the like."""
    at = 0
    while at < len(text):
        key = text[at]
        at += 1
        if key == ESCAPE and text[at : at + 1] in ("[", "O"):
            at += 1
            while at < len(text) and not text[at].isalpha() and text[at] != "~":
                at += 1
            at += 1
            continue
        yield {"\r": ENTER, "\x08": BACKSPACE}.get(key, key)
