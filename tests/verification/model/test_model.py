"""The small builds hold; each planted defect is found: what cannot fail proves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.servers.needs import need
from tests.verification.model import __main__ as command
from tests.verification.model.builds import (
    DEFECTS,
    FULL,
    QUICK,
    SMALL,
    Build,
    Defect,
    with_defect,
)
from tests.verification.model.spin import Missing, need_programs, search


@pytest.fixture(autouse=True)
def _programs(request: pytest.FixtureRequest) -> None:
    if request.node.name.startswith("test_without"):
        return
    try:
        need_programs()
    except Missing as missing:
        need("the model checker", False, str(missing))


@pytest.mark.parametrize("build", QUICK, ids=lambda build: f"{build.name}, {build.asked}")
def test_the_protocol_holds(build: Build, tmp_path: Path) -> None:
    found = search(build, tmp_path)
    assert not found.broken, "\n".join(found.steps)
    assert found.states > 1_000
    if build.complete:
        assert found.unreached == [], "steps of the model that never happen"


# Each is a model of its own to compile and to search; what follows is enough to see that a search
# can fail. `make model` plants them all as well.
@pytest.mark.slow
@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: with_defect(defect).name)
def test_a_planted_defect_is_found(defect: Defect, tmp_path: Path) -> None:
    found = search(with_defect(defect), tmp_path)
    assert found.broken in defect.breaks, f"{defect.what}: nothing was found"
    assert found.steps, "a counterexample without readable steps"


@pytest.mark.parametrize(
    ("formula", "defect"), [("accounted", "NO_RECOVERY"), ("led", "NO_TAKEOVER")]
)
def test_the_temporal_formulas_can_fail(formula: str, defect: str, tmp_path: Path) -> None:
    """Under spin's weak fairness (-f) they could not: it passes over runs that end."""
    build = Build("", "OUTBOX", SMALL, (defect,), formula=formula)
    assert search(build, tmp_path).broken == formula


def test_the_command_prints_what_it_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--quick", "--no-defects", "--only", "atomic"]) == 0
    assert "holds" in capsys.readouterr().out


def test_without_spin_the_command_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert command.main(["--quick"]) == 2
    assert "is missing" in capsys.readouterr().err


def test_without_a_shrunk_size_the_full_run_is_what_the_readme_claims() -> None:
    whole = FULL
    sizes = {(b.mode, b.size.replicas, b.size.slots, b.size.crashes) for b in whole}
    assert sizes == {(mode, 3, 3, 2) for mode in ("OUTBOX", "AT_MOST_ONCE", "ATOMIC")}
