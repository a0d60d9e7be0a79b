"""The beat_schedule of a git revision, read without touching the working tree.

The revision's files are written to a temporary folder through an index of their own: no worktree is
registered, no hook runs, and attributes such as export-ignore do not apply. There, another process
imports the app with this environment's packages, and writes its schedule to a file. Folders of the
project on `sys.path` are replaced by those of the revision. A module that is still imported from
the working tree is an error, because then the schedule would be a mixture.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from habeat.cli.errors import app_given
from habeat.client.change_plan import SavedSchedule
from habeat.errors import HabeatError
from habeat.printable import printable

#: How long git, and then the import of the revision's app, may take.
LIMIT_S = 120
#: How much of the output of a process that failed is shown.
LINES_SHOWN = 5


class RevisionUnreadable(HabeatError):
    """The schedule of a revision cannot be read; the text says what failed, and what to do."""

    max_chars = 2_000

    def __init__(self, revision: str, why: str) -> None:
        super().__init__(
            f"cannot read the schedule of {revision!r}: {why}. If that revision can be imported "
            "elsewhere, run `habeat plan --save FILE` there, and give the file to --since"
        )
        self.revision = revision


def schedule_at(revision: str, options: Sequence[str]) -> SavedSchedule:
    """The schedule of a revision; `options` are Celery's, such as ``-A proj``.

    RevisionUnreadable.
    """
    top = Path(_git(revision, "rev-parse", "--show-toplevel"))
    _check_here(revision, options, top)
    commit = _commit(revision)
    with tempfile.TemporaryDirectory(prefix="habeat-plan-") as folder:
        tree, saved = Path(folder).resolve() / "tree", Path(folder) / "plan.json"
        _write_files(revision, commit, top, tree)
        here = tree / Path.cwd().resolve().relative_to(top.resolve())
        if not here.is_dir():
            raise RevisionUnreadable(revision, f"it has no folder {here.relative_to(tree)}")
        _run_there(revision, options, top, tree, here, saved=saved)
        return SavedSchedule.from_text(saved.read_text())


def _check_here(revision: str, options: Sequence[str], top: Path) -> None:
    """Refuse an app that was imported from elsewhere, such as an installed copy of the project.

    The other process would import the same copy, and find no difference.
    """
    name = app_given(options, os.environ.get("CELERY_APP")).partition(":")[0]
    for module, loaded in list(sys.modules.items()):
        file = getattr(loaded, "__file__", None)
        if not name or not isinstance(file, str) or not f"{module}.".startswith(f"{name}."):
            continue
        if not Path(file).resolve().is_relative_to(top.resolve()):
            why = f"the app is imported from {file}, which is not in the repository {top}"
            raise RevisionUnreadable(revision, why)


def _commit(revision: str) -> str:
    """The commit that a revision names."""
    if revision.startswith("-"):
        raise RevisionUnreadable(revision, "that is an option, and no revision")
    try:
        return _git(revision, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    except RevisionUnreadable as error:
        shallow = _git(revision, "rev-parse", "--is-shallow-repository") == "true"
        advice = (
            "this clone is shallow: fetch the history (fetch-depth: 0)"
            if shallow
            else ("there is neither such a file nor such a revision here")
        )
        raise RevisionUnreadable(revision, advice) from error


def _git(revision: str, *words: str, **environment: str) -> str:
    """What git prints; RevisionUnreadable with its own words if it fails."""
    env = {**os.environ, **environment}
    try:
        done = subprocess.run(
            ["git", *words], env=env, capture_output=True, text=True, timeout=LIMIT_S
        )
    except FileNotFoundError:
        raise RevisionUnreadable(revision, "there is no git on PATH") from None
    except subprocess.TimeoutExpired:
        raise RevisionUnreadable(revision, f"git did not answer within {LIMIT_S} s") from None
    if done.returncode:
        raise RevisionUnreadable(revision, _last_lines(done.stderr) or f"git {words[0]} failed")
    return done.stdout.strip()


def _write_files(revision: str, commit: str, top: Path, tree: Path) -> None:
    """Write the files of a commit to `tree`, through an index that is thrown away."""
    tree.mkdir()
    index, at_top = {"GIT_INDEX_FILE": str(tree.parent / "index")}, ("-C", str(top))
    _git(revision, *at_top, "read-tree", commit, **index)
    _git(revision, *at_top, "checkout-index", "--all", f"--prefix={tree}/", **index)


def _run_there(
    revision: str, options: Sequence[str], top: Path, tree: Path, here: Path, *, saved: Path
) -> None:
    """Have another process import the app of the revision, and save its schedule."""
    own = ["habeat", "plan", "--save", str(saved), "--instead-of", str(top), str(tree)]
    path = os.pathsep.join([*_translated(top, tree), *_outside(top)])
    python = partial(_python, revision, here, path)
    done = python("-P", "-m", "celery", *options, *own)  # as the command `celery` is started
    if done.returncode or not saved.exists():
        why = _import_error(options, python) or _last_lines(done.stderr or done.stdout)
        why = why.replace(str(tree), str(top))
        raise RevisionUnreadable(revision, f"its app cannot be read here: {why}")


def _python(revision: str, here: Path, path: str, *words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [sys.executable, *words],
            cwd=here,
            env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LIMIT_S,
        )
    except subprocess.TimeoutExpired:
        why = f"importing its app took longer than {LIMIT_S} s"
        raise RevisionUnreadable(revision, why) from None


def _import_error(
    options: Sequence[str], python: Callable[..., subprocess.CompletedProcess[str]]
) -> str:
    """The error of the app's module, which Celery does not always show; "" if it has none."""
    name = app_given(options, os.environ.get("CELERY_APP")).partition(":")[0]
    for module in (name, f"{name}.celery") if name else ():
        done = python("-c", "import sys, importlib as i; i.import_module(sys.argv[1])", module)
        error = done.stderr.rstrip().rpartition("\n")[2]
        if done.returncode and f"'{module}'" not in error:
            return printable(error)
    return ""


def _translated(top: Path, tree: Path) -> Iterator[str]:
    """The folders of the project on `sys.path`, as they are in the revision.

    Some tools that install a project in place put no folder there, but a finder of their own. So
    the folders of the modules that are loaded count as well.
    """
    folders = dict.fromkeys(os.path.realpath(entry or ".") for entry in sys.path)
    folders |= dict.fromkeys(map(str, _roots(top)))
    for folder in folders:
        if Path(folder).is_relative_to(top.resolve()):
            there = tree / Path(folder).relative_to(top.resolve())
            if there.is_dir():
                yield str(there)


def _roots(top: Path) -> Iterator[Path]:
    """For each loaded module of the project, the folder from which its package was imported."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and Path(file).is_relative_to(top):
            above = Path(file).resolve().parents
            depth = name.count(".") + (Path(file).stem == "__init__")
            if depth < len(above):
                yield above[depth]


def _outside(top: Path) -> list[str]:
    """What is on PYTHONPATH and not in the project, as absolute paths."""
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    folders = [os.path.realpath(each) for each in given if each]
    return [each for each in folders if not Path(each).is_relative_to(top.resolve())]


def mixed_in(top: Path, tree: Path) -> str:
    """A module that was imported from `top` although `tree` has it; "" if there is none."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str):
            continue
        path = Path(os.path.realpath(file))
        inside = path.is_relative_to(top) and not path.is_relative_to(tree)
        if inside and (tree / path.relative_to(top)).exists():
            return name
    return ""


def _last_lines(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return printable("; ".join(lines[-LINES_SHOWN:]))
