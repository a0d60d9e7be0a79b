"""Where threads are in the code: files, lines and functions, never values."""

from __future__ import annotations

import sys
import sysconfig
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

#: Frames that a dump shows of one thread, the innermost last, and threads that it shows.
FRAMES, THREADS = 30, 30
_PARTS_SHOWN = 3

_LIBRARIES = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib"))
_OURS = str(Path(__file__).parents[1])


def place_of(thread: int) -> str:
    """Where a thread is: its innermost frame, and before it the innermost one of the user's code.

    "" if the thread is gone.
    """
    frame = sys._current_frames().get(thread)
    if frame is None:
        return ""
    innermost = _shown(frame)
    theirs = next((each for each in _outwards(frame) if not _is_library(each)), None)
    return innermost if theirs in (None, frame) else f"{_shown(theirs)} ({innermost})"


def stacks() -> Iterator[str]:
    """The stacks of all threads, a line for each frame."""
    frames = sys._current_frames()
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in list(frames.items())[:THREADS]:
        yield f"thread {names.get(ident, ident)}"
        for summary in traceback.extract_stack(frame)[-FRAMES:]:
            yield f"  {_short(summary.filename)}:{summary.lineno} {summary.name}"


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_library(frame: FrameType) -> bool:
    file = frame.f_code.co_filename
    return file.startswith(("<", _OURS, *_LIBRARIES)) or "/site-packages/" in file


def _shown(frame: FrameType) -> str:
    return f"{_short(frame.f_code.co_filename)}:{frame.f_lineno} {frame.f_code.co_name}"


def _short(file: str) -> str:
    return "/".join(Path(file).parts[-_PARTS_SHOWN:])
