"""Runs spin: generate, compile, search, read the verdict, replay what went wrong."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.verification.model.builds import Build

SOURCE = Path(__file__).resolve().parent / "protocol.pml"
DEEPEST = 100_000
TABLE_BITS = {False: 18, True: 26}


class Missing(Exception):
    """A program that is needed is not installed."""

    def __init__(self, program: str, package: str) -> None:
        super().__init__(f"{program} is missing (on Debian: apt-get install {package})")


class Broken(Exception):
    """spin, the compiler or the search failed."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found. `broken` is the promise that does not hold, "" if all do."""

    build: Build
    states: int
    depth: int
    memory_mb: float
    seconds: float
    broken: str = ""
    steps: list[str] = field(default_factory=list)
    #: Lines of the model with a step that was never taken.
    unreached: list[int] = field(default_factory=list)


def compiler() -> str:
    """The C compiler's name; Missing."""
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name):
            return name
    raise Missing("a C compiler", "gcc")


def need_programs() -> None:
    """Missing, if spin or the compiler is not here."""
    compiler()
    if not shutil.which("spin"):
        raise Missing("spin", "spin")


def search(build: Build, folder: Path, *, large: bool = False) -> Found:
    """Search all states of a build within `folder`; Missing, Broken."""
    need_programs()
    shutil.copy(SOURCE, folder / SOURCE.name)
    flags = [f"-D{build.mode}", *build.size.flags(), *(f"-D{name}" for name in build.switches)]
    if build.formula:
        flags.append("-DLTL")
    _run(["spin", "-a", *flags, SOURCE.name], folder)
    kind = [] if build.formula else ["-DNP" if build.cycles else "-DSAFETY"]
    optimised = "-O2" if large else "-O0"
    _run([compiler(), optimised, "-w", "-DCOLLAPSE", *kind, "-o", "pan", "pan.c"], folder)
    arguments = [f"-m{DEEPEST}", f"-w{TABLE_BITS[large]}"]
    if build.formula:
        # Not -f: every run is finite, and under weak fairness spin passes over ends of runs.
        arguments += ["-a", "-N", build.formula]
    elif build.cycles:
        arguments.append("-l")
    started = time.monotonic()
    said = _run(["./pan", *arguments], folder)
    found = _read(build, said, time.monotonic() - started)
    if _number(r"errors: (\d+)", said) == 0:
        return found
    replayed = _run(["spin", "-t", *flags, SOURCE.name], folder)
    return _explained(found, replayed)


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        errors="replace",
    )
    if done.returncode and command[0] != "spin":
        raise Broken(f"{command[0]} ended with {done.returncode}: {done.stdout[-2_000:]}")
    if re.search(r"syntax error|aborting|cannot find trail", done.stdout):
        raise Broken(f"{' '.join(command)}: {done.stdout[-2_000:]}")
    return done.stdout


def _read(build: Build, said: str, seconds: float) -> Found:
    for trouble in ("max search depth too small", "out of memory", "Search not completed\n"):
        if trouble in said and "errors: 0" in said:
            raise Broken(f"the search is not exhaustive: {trouble}")
    return Found(
        build,
        states=int(_number(r"(\d+) states, stored", said)),
        depth=int(_number(r"depth reached (\d+)", said)),
        memory_mb=_number(r"([\d.]+)\s+total actual memory", said),
        seconds=seconds,
        unreached=_unreached(said),
    )


def _number(pattern: str, said: str) -> float:
    found = re.search(pattern, said)
    if not found:
        raise Broken(f"the search said nothing of {pattern!r}: {said[-2_000:]}")
    return float(found.group(1))


def _unreached(said: str) -> list[int]:
    lines = re.findall(r"\.pml:(\d+), state \d+, \"(.*)\"", said)
    return sorted({int(number) for number, step in lines if step != "-end-"})


def _explained(found: Found, replayed: str) -> Found:
    result = re.compile(r"\s+(replica \d|the |a late |slot |attempt )")
    steps = [line.strip() for line in replayed.splitlines() if result.match(line)]
    return replace(found, broken=_promise(replayed, found.build), steps=steps)


def _promise(replayed: str, build: Build) -> str:
    """The comment behind the assertion that failed."""
    if build.cycles:
        return "every run ends"
    if build.formula:
        return build.formula
    failed = re.search(r"\.pml:(\d+), Error: assertion violated", replayed)
    if not failed:
        return "nothing gets stuck on its way"
    line = SOURCE.read_text().splitlines()[int(failed.group(1)) - 1]
    comment = re.search(r"/\* (.*) \*/", line)
    return comment.group(1) if comment else line.strip()
