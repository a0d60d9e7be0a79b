"""`habeat plan`: against a file, and against a git revision in a repository of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from celery import Celery
from celery.bin.base import CLIContext
from click.testing import CliRunner

from habeat.cli import habeat as group
from habeat.cli.planning import celery_options
from habeat.cli.revisions import RevisionUnreadable, schedule_at
from tests import ROOT

APP = """
from celery import Celery
from celery.schedules import crontab

app = Celery("proj", broker="amqp://nowhere", include=["proj.tasks"])
app.conf.timezone = "Europe/Berlin"
app.conf.beat_schedule = {{
    "daily": {{"task": "proj.daily", "schedule": crontab(hour={hour}, minute=0)}},
    "same": {{"task": "proj.daily", "schedule": 300.0, "args": ["secret"]}},
}}
"""
TASKS = """
from proj.celery import app

@app.task(name="proj.daily")
def daily(*args): ...
"""


def git(folder: Path, *words: str) -> None:
    own = ["-c", "user.name=n", "-c", "user.email=e@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *own, *words], cwd=folder, check=True, capture_output=True)


def write(folder: Path, hour: int) -> None:
    package = folder / "proj"
    package.mkdir(exist_ok=True)
    (package / "__init__.py").write_text("")
    (package / "celery.py").write_text(APP.format(hour=hour))
    (package / "tasks.py").write_text(TASKS)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A project in a folder of its repository: first at 8, then at 9 o'clock, now at 10."""
    folder = tmp_path / "backend"
    folder.mkdir()
    git(tmp_path, "init", "-q", "-b", "main")
    for hour in (8, 9):
        write(folder, hour)
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "-q", "-m", str(hour))
    write(folder, 10)
    return folder


def plan(folder: Path, *words: str, path: str = "") -> subprocess.CompletedProcess[str]:
    env = {key: text for key, text in os.environ.items() if not key.startswith("CELERY_")}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT / "src"), path]))
    command = [sys.executable, "-m", "celery", "-A", "proj", "habeat", "plan", *words]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=100)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_a_change_is_compared_with_a_revision(repository: Path) -> None:
    before = sorted(repository.parent.rglob("*"))
    done = plan(repository, "--since", "HEAD~1", "--from", "2026-03-02T00:00Z")
    assert done.returncode == 1, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[1] == "1 entry changes: 0 slots appear, 0 vanish, 35 move"
    assert "  35 slots move 2 hours later: Mon 2026-03-02 08:00 CET -> Mon" in done.stdout
    assert "secret" not in done.stdout
    digest = next(line for line in lines if line.startswith("digest: ")).split()[1]
    assert lines[-1] == f"celery -A proj habeat plan --since 'HEAD~1' --acknowledge {digest}"
    # Neither the repository nor the working tree has changed.
    after = [each for each in repository.parent.rglob("*") if "__pycache__" not in str(each)]
    assert sorted(after) == [each for each in before if "__pycache__" not in str(each)]


@pytest.mark.slow  # it starts processes
def test_a_project_that_is_imported_from_elsewhere_is_the_revision_s_too(
    repository: Path,
) -> None:
    """As for a project whose folder is on the path, in a layout with `src`."""
    (repository / "src").mkdir()
    git(repository.parent, "mv", "backend/proj", "backend/src/proj")
    git(repository.parent, "commit", "-q", "-am", "moved")
    (repository / "src/proj/celery.py").write_text(APP.format(hour=11))
    done = plan(repository, "--since", "main", "--json", path=str(repository / "src"))
    found = json.loads(done.stdout)
    assert (done.returncode, found["move"]) == (1, 35), found
    assert "09:00" in found["changes"][0]["before"] or "10:00" in found["changes"][0]["before"]


@pytest.mark.slow  # it starts processes
@pytest.mark.parametrize(
    ("revision", "says"),
    [
        ("no-such", "there is neither such a file nor such a revision here"),
        ("HEAD~2", "there is neither such a file nor such a revision here"),
        ("--all", "that is an option"),
        ("empty", "it has no folder backend"),
        ("broken", "ModuleNotFoundError: No module named 'gone_since'"),
        ("mixed", "the module shared is imported from the working tree"),
    ],
)
def test_what_fails_in_a_revision_is_named(
    repository: Path, revision: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = repository.parent
    if revision == "broken":
        (repository / "proj" / "celery.py").write_text("import gone_since\n")
        git(top, "commit", "-qam", "broken")
        git(top, "branch", "broken")
        write(repository, 10)
    elif revision == "mixed":
        (repository / "lib").mkdir()
        (repository / "lib" / "shared.py").write_text("")
        elsewhere = f"import sys\nsys.path.insert(0, {str(repository / 'lib')!r})\nimport shared\n"
        (repository / "proj" / "celery.py").write_text(elsewhere + APP.format(hour=8))
        git(top, "add", "-A")
        git(top, "commit", "-qm", "mixed")
        git(top, "branch", "mixed")
    elif revision == "empty":
        git(top, "stash", "-q")
        git(top, "checkout", "-q", "--orphan", "empty")
        git(top, "rm", "-rfq", ".")
        git(top, "commit", "-q", "--allow-empty", "-m", "empty")
        git(top, "checkout", "-q", "main")
    monkeypatch.chdir(repository)
    with pytest.raises(RevisionUnreadable) as error:
        schedule_at(revision, ["-A", "proj"])
    assert says in str(error.value)
    assert "habeat plan --save FILE" in str(error.value)


@pytest.mark.slow  # it starts processes
def test_an_installed_copy_of_the_project_is_not_taken_for_the_working_tree(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = ModuleType("copied.celery")
    copy.__file__ = "/usr/lib/copied/celery.py"
    monkeypatch.setitem(sys.modules, "copied.celery", copy)
    monkeypatch.chdir(repository)
    with pytest.raises(RevisionUnreadable, match=r"imported from /usr/lib/copied/celery\.py"):
        schedule_at("main", ["-A", "copied"])


def test_outside_of_a_repository_there_is_no_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    done = run(app_with(a=60.0), "--since", "main")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "not a git repository" in done.stderr


# -- with a file, in this process ------------------------------------------------------------


def app_with(**schedule: Any) -> Celery:
    app = Celery("proj", broker="amqp://nowhere", set_as_current=False)

    @app.task(name="proj.a", shared=False)  # type: ignore[untyped-decorator]
    def a() -> None: ...

    entries = {name: {"task": "proj.a", "schedule": every} for name, every in schedule.items()}
    app.conf.beat_schedule = entries
    return app


def run(app: Celery, *words: str) -> Any:
    done = CliRunner().invoke(group, ["plan", *words], obj=CLIContext(app, True, None))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


@pytest.fixture
def old(tmp_path: Path) -> str:
    file = str(tmp_path / "old.json")
    assert run(app_with(a=60.0, b=3600.0), "--save", file).exit_code == 0
    return file


def test_what_is_saved_is_compared(old: str, tmp_path: Path) -> None:
    assert run(app_with(a=60.0, b=3600.0), "--since", old).exit_code == 0
    done = run(app_with(a=60.0, c=3600.0), "--since", old)
    assert done.exit_code == 1
    assert "2 entries change: 840 slots appear, 840 vanish, 0 move" in done.output
    assert "b: removed" in done.output
    assert run(app_with(a=60.0), "--save", "-").output == Path(old).read_text().replace(
        next(line for line in Path(old).read_text().splitlines(True) if '"b"' in line), ""
    ).replace("},\n},", "}\n},")


def test_a_digest_in_a_file_acknowledges_the_change(old: str, tmp_path: Path) -> None:
    app = app_with(a=60.0)
    digest = json.loads(run(app, "--since", old, "--json").output)["digest"]
    accepted = tmp_path / "accepted.txt"
    accepted.write_text(f"0123456789abcdef an older one\n{digest}  b moves to the worker\n")
    done = run(app, "--since", old, "--acknowledge", str(accepted))
    assert (done.exit_code, f"acknowledged: {digest}" in done.output) == (0, True)
    other = run(app, "--since", old, "--acknowledge", "0123456789abcdef")
    assert other.exit_code == 1
    assert "0123456789abcdef acknowledges another change" in other.output


def test_findings_are_shown_and_new_ones_are_a_change(old: str) -> None:
    app = app_with(a=60.0, b=3600.0)
    app.conf.beat_schedule["a"]["task"] = "proj.gone"
    app.conf.beat_schedule["bad"] = {"task": "proj.a", "schedul": 1}
    done = run(app, "--since", old, "--per-minute", "1", "--days", "1")
    assert done.exit_code == 1
    assert "  bad: unknown key 'schedul'" in done.output
    assert "  a: proj.gone (new)" in done.output
    assert "24 minutes with more than 1 firings, before 24" in done.output


def test_a_schedule_that_cannot_be_read_is_an_error(old: str, tmp_path: Path) -> None:
    app = app_with(a=60.0)
    app.conf.include = ["no_such_module_of_the_project"]
    done = run(app, "--since", old)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "imports: ModuleNotFoundError" in done.stderr
    (tmp_path / "text").write_text("{}")
    done = run(app_with(a=60.0), "--since", str(tmp_path / "text"))
    assert (done.exit_code, "habeat plan --save" in done.stderr) == (2, True)
    assert run(app_with(), "--json").exit_code == 2
    assert run(app_with(), "--save", str(tmp_path / "no" / "file")).exit_code == 2


def test_the_options_of_celery_are_handed_on_without_its_folder() -> None:
    argv = ["-A", "proj", "--workdir", "x", "--workdir=y", "-q", "habeat", "plan", "--since", "x"]
    assert celery_options(argv) == ["-A", "proj", "-q"]
