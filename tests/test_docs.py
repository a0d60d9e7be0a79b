"""What the documentation says of settings, files, commands and make targets is so.

Its Python compiles, its configuration is accepted, its command lines are parsed by the commands
that they name. The examples of schedules run in tests/unit/schedules/test_pages.py, the examples of
the Python API in tests/integration/test_docs_examples.py.
"""

from __future__ import annotations

import ast
import dataclasses
import json
import re
import runpy
import shlex
import subprocess
import tomllib
import types
import typing
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent

import click
import pytest
from celery import Celery
from celery.bin.beat import beat
from celery.bin.worker import worker

from habeat.cli import habeat
from habeat.cli.probe import health as probe
from habeat.config import SETTINGS, Setting, Settings
from habeat.core.entry import POLICIES
from habeat.entries.fields import FIELDS, Field
from habeat.metrics.table import BY_NAME as METRIC_NAMES
from tests import DOCS, ROOT
from tests.support.cases import for_every

PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *DOCS.rglob("*.md"),
        *(ROOT / "examples").rglob("*.md"),
        *(ROOT / "deploy").rglob("*.md"),
        *(ROOT / "changelog.d").glob("*.md"),
        ROOT / "tests/README.md",
    ]
)

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)|!\[[^\]]*\]\(([^)\s]+)\)")
TARGET = re.compile(r"`make ([a-z][a-z-]*)|^\s*(?:\$ )?make ([a-z][a-z-]*)", re.MULTILINE)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def settings_table() -> dict[str, list[str]]:
    """The rows of the table in docs/reference/settings.md by setting."""
    lines = (DOCS / "reference" / "settings.md").read_text().splitlines()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in lines
        if line.startswith("| `habeat_")
    ]
    return {row[0].strip("`"): row[1:] for row in rows}


def shown_default(row: Setting) -> str | None:
    """How the default is written in the table; None if that is a sentence."""
    match row.kind, row.default:
        case "duration" | "path", None:
            return "none"
        case "duration", default:
            return f"{default:g} s" if isinstance(default, float) else f"{default} s"
        case "choice", default:
            return f'`"{default}"`'
        case "count" | "rate", default:
            return str(default)
        case _:
            return None


def anchors(page: Path) -> set[str]:
    """The anchors of a page: those written into it, and of its headings, as GitHub makes them."""
    found = set(re.findall(r'<a id="([^"]+)">', page.read_text()))
    for heading in re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE):
        kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
        found.add(kept.replace(" ", "-"))
    return found


def test_every_setting_is_in_the_table_and_nothing_else() -> None:
    assert list(settings_table()) == [row.name for row in SETTINGS]


@for_every(SETTINGS, lambda row: row.name)
def test_a_setting_is_described_with_its_default(row: Setting) -> None:
    default, what, allowed = settings_table()[row.name]
    expected = shown_default(row)
    assert default == expected if expected else default
    assert what.endswith(".")
    assert allowed
    for choice in row.choices:
        assert f'"{choice}"' in default + what


def described(field: Field) -> str:
    """The row of a field of an entry in docs/reference/python-api.md."""
    if field.stored in POLICIES:
        default = f"[`habeat_{field.name}`](settings.md)"
    elif field.name in ("task", "schedule"):
        default = "required"
    else:
        default = f"`{field.default}`" if field.default != "" else '`""`'
    return f"| `{field.name}` | {field.kind.given} | {default} | {field.meaning} |"


def test_the_table_of_the_fields_of_an_entry_is_that_of_the_code() -> None:
    page = (DOCS / "reference" / "python-api.md").read_text()
    table = page.partition("| field | value | default | meaning |\n|---|---|---|---|\n")[2]
    assert table.partition("\n\n")[0].splitlines() == [described(field) for field in FIELDS]


@for_every(PAGES, name_of)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for match in LINK.finditer(page.read_text()):
        link = match.group(1) or match.group(2)
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"{name_of(page)} links to {link}"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{name_of(page)} links to {link}"


def public_names() -> dict[str, set[str]]:
    """The public names of each module as docs/reference/python-api.md lists them."""
    page = (DOCS / "reference" / "python-api.md").read_text()
    section = page.partition("## Public names")[2]
    rows = re.findall(r"^\| `(habeat[.\w]*)` \| (.+) \|$", section, re.MULTILINE)
    names = {module: set(re.findall(r"`(\w+)`", cell)) for module, cell in rows}
    errors = (DOCS / "reference" / "errors.md").read_text()
    names["habeat.errors"] |= set(re.findall(r"^\| `(\w+)`", errors, re.MULTILINE))
    return names


PUBLIC = [
    *("habeat", "habeat.client", "habeat.schedules", "habeat.errors", "habeat.signals"),
    "habeat.testing",
]


@pytest.mark.parametrize("module", PUBLIC)
def test_the_reference_lists_the_names_of_all_and_no_others(module: str) -> None:
    there = import_module(module)
    assert public_names()[module] == set(there.__all__)
    assert all(hasattr(there, name) for name in there.__all__)


def public_classes() -> set[type]:
    return {
        value
        for module in public_names()
        for name in import_module(module).__all__
        if isinstance(value := getattr(import_module(module), name), type)
    }


@for_every(sorted(public_classes(), key=lambda each: each.__qualname__))
def test_what_a_public_class_holds_is_public(public: type) -> None:
    """`make docs` would find no description of another class."""
    held = typing.get_type_hints(public) if dataclasses.is_dataclass(public) else {}
    text = " ".join(str(type_) for name, type_ in held.items() if not name.startswith("_"))
    homes = {f"{each.__module__}.{each.__qualname__}" for each in public_classes()}
    named = set(re.findall(r"habeat\.[\w.]+", text))
    assert named <= homes, f"{public.__qualname__} has {named - homes}"


def test_the_reference_uses_no_name_of_the_package_that_is_not_public() -> None:
    page = (DOCS / "reference" / "python-api.md").read_text()
    used = set(re.findall(r"\bhabeat\.([A-Za-z_]\w*)", page)) - {
        *("client", "schedules", "signals", "testing")
    }
    assert used <= set(import_module("habeat").__all__)


@for_every(PAGES, name_of)
def test_every_make_target_named_exists(page: Path) -> None:
    phony = re.search(r"^\.PHONY:(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", page.read_text(), re.DOTALL))
    named = {first or second for first, second in TARGET.findall(code)}
    assert named <= set(phony.group(1).split())


def test_every_make_target_is_described_in_its_help() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY:(.*)$", text, re.MULTILINE)
    assert phony is not None
    described = re.findall(r"^([a-z-]+):.*## \S", text, re.MULTILINE)
    assert sorted(described) == sorted(phony.group(1).split())


def test_no_page_names_a_setting_that_does_not_exist() -> None:
    known = {row.name for row in SETTINGS} | METRIC_NAMES.keys()
    # Words that begin alike: headers of a message, facts of a log record, names for pytest.
    others = re.compile(
        r"habeat_(entry|slot|lease_epoch|attempt|app|clock|scheduler|event|replica|\*|…)$"
    )
    for page in PAGES:
        for name in re.findall(r"`(?:app\.conf\.)?(habeat_[a-z_]+)`", page.read_text()):
            assert name in known or others.match(name), f"{name_of(page)} names {name}"


# What the code fills in: values, and words that it takes from a table.
FILLED_IN = re.compile(
    r"…|'|\(|\)|[:;,]|\bN\b|\b\d+\b"
    r"|\b(?:atomic|outbox|RedBeat|unreachable|read only|out of memory|denied|was due)\b"
)


#: Tables whose first column quotes what habeat says, by the heading of that column.
QUOTING = ("line", "what habeat says", "what it says")


def tables(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Each table of a page: the heading of its first column, and the cells of that column."""
    for table in re.findall(r"(?:^\|.*\n)+", page.read_text(), re.MULTILINE):
        cells = [re.split(r"(?<!\\) \| ", row.strip("| "))[0] for row in table.splitlines()]
        yield cells[0], cells[2:]


def said(page: Path) -> list[str]:
    """What habeat says according to the tables of a page that explain it."""
    return [
        quoted
        for heading, cells in tables(page)
        if heading in QUOTING
        for cell in cells
        for quoted in re.findall(r"`([^`]+)`", cell)
    ]


@pytest.fixture(scope="module")
def texts_of_the_code() -> str:
    return "\n".join(
        node.value
        for file in (ROOT / "src" / "habeat").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


@pytest.mark.parametrize(("name", "least"), [("operations", 50), ("troubleshooting", 20)])
def test_what_habeat_says_according_to_a_guide_is_in_the_code(
    name: str, least: int, texts_of_the_code: str
) -> None:
    """By the longest part that is not filled in; tests/unit/client/test_problems.py has others."""
    quoted = said(DOCS / "guides" / f"{name}.md")
    assert len(quoted) >= least
    for line in quoted:
        part = max((part.strip() for part in FILLED_IN.split(line)), key=len)
        assert part in texts_of_the_code, f"{name}.md explains {line!r}"


COMPARISON = runpy.run_path(str(DOCS / "concepts" / "comparison.py"))
figures = COMPARISON["figures"]

BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page in one language, those of a list item without their indent."""
    return [dedent(text) for _, found, text in BLOCK.findall(page.read_text()) if found == language]


def pages_with(language: str) -> list[Path]:
    return [page for page in PAGES if blocks(page, language)]


@for_every(pages_with("python"), name_of)
def test_every_block_of_python_compiles(page: Path) -> None:
    for number, block in enumerate(blocks(page, "python")):
        compile(block, f"{name_of(page)}, block {number}", "exec", dont_inherit=True)


def configuration() -> Iterator[tuple[Path, str]]:
    """The blocks that configure an app: by `app.conf.…`, or as a Django project's settings."""
    for page in pages_with("python"):
        for block in blocks(page, "python"):
            if re.match(
                r"(app\.conf\.|CELERY_|from celery\.schedules import crontab\n\nCELERY_)", block
            ):
                yield page, block


def test_every_configuration_is_accepted() -> None:
    found = list(configuration())
    assert len(found) >= 7
    for page, block in found:
        app = Celery("proj", broker="redis://localhost:6379/0", set_as_current=False)
        names: dict[str, object] = {"app": app}
        exec(compile(block, name_of(page), "exec", dont_inherit=True), names)
        settings = types.SimpleNamespace(**{k: v for k, v in names.items() if k.isupper()})
        if vars(settings):
            app = Celery("proj", set_as_current=False)
            app.config_from_object(settings, namespace="CELERY")
            assert app.conf.beat_scheduler == "habeat.Scheduler"
        assert Settings.from_conf(app.conf, app_main="proj")


#: Pages whose Python runs as it stands, and the test that runs it. Configuration is run above.
RUN = {
    "docs/concepts/schedules.md": "unit/schedules/test_pages.py",
    "docs/guides/schedules-from-an-application.md": "integration/test_docs_examples.py",
    "docs/guides/django.md": "integration/contrib/test_guide.py",
    "docs/guides/disaster.md": "integration/test_docs_examples.py",
    "docs/guides/explain.md": "integration/test_docs_examples.py",
    "docs/guides/celery-classes.md": "unit/beat/test_own_sending.py",
    "docs/guides/tenants.md": "integration/test_docs_examples.py",
    "docs/guides/monitoring.md": "integration/test_docs_examples.py",
    "docs/guides/testing.md": "unit/testing/test_guide.py",
    "docs/reference/errors.md": "integration/test_docs_examples.py",
    "docs/reference/python-api.md": "integration/test_docs_examples.py",
}


def test_every_block_of_python_runs_in_a_test() -> None:
    configured = {(page, block) for page, block in configuration()}
    for page in pages_with("python"):
        if all((page, block) in configured for block in blocks(page, "python")):
            continue
        assert name_of(page) in RUN, f"nothing runs the Python of {name_of(page)}"
        assert page.name in (ROOT / "tests" / RUN[name_of(page)]).read_text()


def command_lines() -> Iterator[tuple[Path, list[str]]]:
    """Each command of the console blocks, and each `celery -A proj habeat …` in the text."""
    for page in PAGES:
        for block in blocks(page, "console"):
            for line in re.findall(r"^\$ (.*)$", block, re.MULTILINE):
                yield page, shlex.split(line, comments=True)
        text = BLOCK.sub("", page.read_text())
        for line in re.findall(r"`(celery -A proj [^`…]*)`", text):
            yield page, shlex.split(line)


def parse(command: click.Command, name: str, given: list[str], parent: click.Context) -> None:
    """Parse without running. A name without its arguments is a mention, and only has to exist."""
    if isinstance(command, click.Group):
        found = command.get_command(parent, given[0]) if given else None
        assert found or not given, f"{name} has no command {given[0]}"
        if found:
            parse(found, given[0], given[1:], parent)
    elif given:
        command.make_context(name, list(given), parent=parent)


def there(pattern: str) -> bool:
    return any(ROOT.glob(pattern))


def test_every_command_line_is_one_that_its_command_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in ("schedule.json", "before-upgrade.json"):
        (tmp_path / file).touch()
    monkeypatch.chdir(tmp_path)
    parent = click.Context(habeat, obj=types.SimpleNamespace(app=Celery("proj"), no_color=True))
    celery: dict[str, click.Command] = {"habeat": habeat, "beat": beat, "worker": worker}
    seen = set()
    for page, words in command_lines():
        while "=" in words[0]:
            words = words[1:]
        seen.add(words[0])
        if words[0] in ("docker", "kubectl", "sudo"):
            missing = [each for each in words if each.startswith("deploy/") and not there(each)]
            assert not missing, f"{name_of(page)}: {missing}"
            if "celery" not in words:
                continue
            words = words[words.index("celery") :]
        match words:
            case ["celery", "-A", _, name, *given]:
                try:
                    parse(celery[name], name, given, parent)
                except click.ClickException as error:
                    pytest.fail(f"{name_of(page)}: {shlex.join(words)}: {error.format_message()}")
            case ["habeat", "health", *given]:
                probe.make_context("health", list(given))
            case ["python", "-c", code]:
                ast.parse(code)
            case ["flask" | "uvicorn" | "curl" | "kill" | "pkill", *_]:
                pass  # tests/system/examples starts and asks the same
            case ["python" | ".venv/bin/python", "-m", module, *_]:
                assert find_spec(module), f"{name_of(page)}: {shlex.join(words)}"
            case ["python", "manage.py", *_]:
                pass  # of the user's Django project; tests/system/examples runs the example's
            case ["python" | ".venv/bin/python", script, *_]:
                assert (ROOT / script).exists(), f"{name_of(page)}: {shlex.join(words)}"
            case ["make" | "pip" | "find" | "redis-cli" | ".venv/bin/towncrier", *_]:
                pass  # make: see above
            case _:
                pytest.fail(f"{name_of(page)}: nothing checks {shlex.join(words)}")
    assert {"celery", "make", "pip"} <= seen


def test_the_figures_of_the_readme_are_those_of_the_benchmarks() -> None:
    """Each cell of its comparison that cites a table of docs/evidence/benchmarks.md."""
    readme = (ROOT / "README.md").read_text()
    rows = {
        cells[0].strip(): [re.sub(r" \(.*", "", cell.strip()) for cell in cells[1:]]
        for cells in (
            line.strip("| ").split(" | ") for line in readme.splitlines() if line.startswith("| ")
        )
    }
    contenders = ("habeat", "redbeat", "django-celery-beat", "celery")
    burst = figures("burst", "10,000 entries")
    quoted = rows["10,000 entries due at once, messages a second"]
    assert quoted == [burst[name][0] for name in contenders]

    grid = figures("grid", "1,000 entries")
    quoted = rows["1,000 entries of 1 s, fired within a minute"]
    measured = [grid[name][0] for name in ("habeat", "redbeat", "celery")]
    assert quoted == [
        f"{float(cell.rstrip(' %')):.0f} %" if cell else "not measured"
        for cell in (*measured[:2], "", measured[2])
    ]

    changes = figures("changes", "1,000 entries")
    quoted = rows["from that change to its message"]
    add, save = changes["habeat (add)"][2], changes["redbeat, save"][2]
    assert quoted[:2] == [f"{float(add):.0f} ms", f"{float(save) / 1000:.1f} s"]

    kills = [figures("takeover", "signals")[name][2] for name in ("habeat", "redbeat")]
    quoted = rows["without a leader after a SIGKILL, median"]
    seconds = [float(cell.replace(",", "")) / 1000 for cell in kills]
    assert quoted[0] == f"{seconds[0]:.2f} s"
    assert quoted[1].startswith(f"{seconds[1]:.1f} s")


def test_the_figures_of_the_comparison_are_those_of_the_benchmarks() -> None:
    page = (DOCS / "concepts" / "comparison.md").read_text()
    assert page.count("<!-- figures: ") == 5
    assert page == COMPARISON["filled"](page), "run docs/concepts/comparison.py --write"


def test_the_fragments_of_the_changelog_are_of_kinds_that_it_has() -> None:
    folder = ROOT / "changelog.d"
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["towncrier"]
    kinds = [kind["directory"] for kind in config["type"]]
    described = re.findall(r"^\| `(\w+)` \|", (folder / "README.md").read_text(), re.MULTILINE)
    assert described == kinds
    for file in folder.iterdir():
        if file.name not in ("README.md", Path(config["template"]).name):
            assert re.fullmatch(rf"[a-z0-9-]+\.(?:{'|'.join(kinds)})\.md", file.name), file.name
            assert file.read_text().strip(), f"{file.name} is empty"
    assert config["start_string"] in (ROOT / config["filename"]).read_text()


DECISIONS = sorted((DOCS / "internals" / "decisions").glob("[0-9]*.md"))
STATUS = re.compile(
    r"(?:accepted(?:, in part replaced by .+)?|replaced by \[\d{4}\].+)\. "
    r"Date: \d{4}-\d\d-\d\d\.(?: Replaces .+\.)?"
)


@for_every(DECISIONS, lambda record: record.stem)
def test_a_decision_has_the_form_that_all_have(record: Path) -> None:
    """Title, status and date, then what was decided, the alternatives, and the cost."""
    title, status, _ = record.read_text().split("\n\n", 2)
    assert re.fullmatch(rf"# {record.name[:4]}: \S.*", title)
    assert STATUS.fullmatch(" ".join(status.removeprefix("Status: ").split())), status
    parts = re.findall(r"^#+ (.*)$", record.read_text(), re.MULTILINE)[1:]
    assert [part for part in parts if part not in ("Problem", "Evidence")] == [
        "Decision",
        "Alternatives",
        "Cost",
    ]
    assert parts.index("Decision") == parts.count("Problem")
    assert "Evidence" not in parts or parts[-1] == "Evidence"


def test_no_two_decisions_have_one_number() -> None:
    numbers = [record.name[:4] for record in DECISIONS]
    assert len(set(numbers)) == len(numbers), sorted(numbers)


def test_every_decision_is_in_the_index_under_one_subject() -> None:
    index = (DOCS / "internals" / "decisions" / "README.md").read_text()
    listed = dict(re.findall(r"^\| \[\d{4}\]\(([^)]+)\) \| (.*) \|$", index, re.MULTILINE))
    assert len(re.findall(r"^\| \[\d", index, re.MULTILINE)) == len(DECISIONS)
    for record in DECISIONS:
        title = record.read_text().partition("\n")[0].partition(": ")[2]
        assert listed[record.name].startswith(title), record.name


#: How the blocks of each language are checked; a block of another language is checked by nothing.
LANGUAGES = {"python", "console", "json", "yaml", "bash", "text", "{eval-rst}", "toml", "ini", "sh"}


@for_every(PAGES, name_of)
def test_every_block_of_code_has_a_language_that_is_checked(page: Path) -> None:
    fences = re.findall(r"^ *```(.*)$", page.read_text(), re.MULTILINE)
    assert len(fences) % 2 == 0, f"{name_of(page)}: a block does not end"
    assert set(fences[::2]) <= LANGUAGES
    assert set(fences[1::2]) <= {""}


def test_every_block_of_data_is_read() -> None:
    yaml = pytest.importorskip("yaml")
    readers = {"json": json.loads, "yaml": yaml.safe_load_all, "toml": tomllib.loads}
    for language, read in readers.items():
        for page in pages_with(language):
            for block in blocks(page, language):
                assert list(read(block)), name_of(page)


def test_every_script_is_one_that_a_shell_reads() -> None:
    for page in (*pages_with("bash"), *pages_with("sh")):
        for block in (*blocks(page, "bash"), *blocks(page, "sh")):
            done = subprocess.run(["bash", "-n"], input=block, text=True, capture_output=True)
            assert done.returncode == 0, f"{name_of(page)}: {done.stderr}"


@pytest.mark.parametrize("name", ["commands", "events"])
def test_a_page_that_the_code_prints_is_up_to_date(name: str) -> None:
    printed = runpy.run_path(str(DOCS / "reference" / f"{name}.py"))["page"]()
    assert (DOCS / "reference" / f"{name}.md").read_text() == printed, (
        "write it again: see the page's head"
    )


def test_the_page_of_the_api_has_every_public_name() -> None:
    page = (DOCS / "reference" / "api.md").read_text()
    for module in set(public_names()) - {"habeat"}:
        assert f".. automodule:: {module}\n   :members:" in page
    named = set(re.findall(r"^\.\. auto(?:class|function):: habeat\.(\w+)$", page, re.MULTILINE))
    assert named == set(import_module("habeat").__all__) - {"errors", "__version__"}
    left_out = re.findall(r":exclude-members: (.*)$", page, re.MULTILINE)
    assert {name for line in left_out for name in line.split(", ")} <= named


def test_every_error_is_explained_and_those_of_the_command_line_have_their_status() -> None:
    page = (DOCS / "reference" / "errors.md").read_text()
    rows = [row.strip("| ").split(" | ") for row in re.findall(r"^\| `.*$", page, re.MULTILINE)]
    found = {row[0].strip("`"): row for row in rows}
    there = import_module("habeat.errors")
    assert set(found) | {"HabeatError"} == set(there.__all__)
    for name, (_, when, advice, status) in found.items():
        error = getattr(there, name)
        wrong = issubclass(error, (there.ValidationError, there.SettingsError))
        assert status == ("–" if name == "BeatRuns" else "2" if wrong else "1")
        assert when.endswith(".")
        assert advice.endswith(".")
        for base in (ValueError, LookupError, RuntimeError):
            direct = base in error.__bases__
            assert direct == (f"Also a `{base.__name__}`" in when), name


def test_every_page_of_the_documentation_is_in_its_index() -> None:
    """The site's navigation is made from it; Sphinx warns about a page that it lacks."""
    listed = set()
    for index in (DOCS / "README.md", DOCS / "internals" / "decisions" / "README.md"):
        for target in re.findall(r"^(?:- |\| )\[.*?\]\(([^)#]+\.md)\)", index.read_text(), re.M):
            listed.add((index.parent / target).resolve())
    folders = (DOCS, ROOT / "examples", ROOT / "deploy")
    pages = {*ROOT.glob("*.md"), *(page for folder in folders for page in folder.rglob("*.md"))}
    assert pages - {DOCS / "README.md"} - listed == set()


@for_every(PAGES, name_of)
def test_every_file_that_is_named_exists(page: Path) -> None:
    """`engine/loop.py` is below src/habeat or below tests, `loop.py` anywhere."""
    for name in re.findall(r"`([\w./]+\.(?:py|lua))`", page.read_text()):
        tops = ("", "src/habeat", "src/habeat/store", "tests", "tests/verification")
        found = any((ROOT / top / name).exists() for top in tops)
        if not found and "/" not in name:
            found = any(any((ROOT / top).rglob(name)) for top in ("src", "tests", "docs"))
        assert found, f"{name_of(page)} names {name}"
