"""The random play covers everything: every answer that a script can give, and every line of it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from habeat.store.scripting import source
from tests.integration.conformance.comparison import plain
from tests.integration.conformance.gate import drawn, seeds
from tests.integration.conformance.lines import WatchedModel, lines_to_run
from tests.integration.conformance.statuses import STATUSES, statuses_in
from tests.integration.conformance.steps import shipped

#: (file, text of the line): why no play reaches it. Empty, and meant to stay so.
UNREACHABLE: dict[tuple[str, str], str] = {}


def _returns_of(name: str) -> str:
    """The answers that the header of a script lists."""
    header = re.match(r"(?:--.*\n)+", source(f"{name}.lua"))
    assert header, f"{name}.lua has no header"
    problem = header[0].replace("\n--", "").partition("Returns")[2]
    assert problem, f"the header of {name}.lua does not say what it returns"
    return problem


def _words_promised(name: str) -> set[str]:
    """The words of `{'ok', …}` and of `(ok | replan)` in a header."""
    problem = _returns_of(name).partition("Replay:")[0]
    quoted = re.findall(r"\{'(\w+)'", problem)
    listed = re.findall(r"\(([a-z]+(?: \| [a-z]+)+)\)|status: ([^.]*?) error", problem)
    return {*quoted, *(word.strip() for pair in listed for word in "|".join(pair).split("|"))} - {
        ""
    }


def test_each_script_has_its_statuses_as_its_header_promises_them() -> None:
    assert shipped() == STATUSES.keys()
    for name, known in STATUSES.items():
        first_words = {word.split()[0] for word in known} | known
        missing = _words_promised(name) - first_words
        assert not missing, f"{name}.lua may answer {missing}: add them to statuses.py"


#: Seeds that reach all between them. Only the order of the plays depends on this: if the scripts
#: have changed and these no longer suffice, the other seeds are played as well.
FIRST = (
    *(88, 103, 71, 108, 26, 48, 2, 66, 33, 102, 10, 28, 110, 91, 25, 29, 73),
    *(24, 52, 63, 35, 4, 14, 12, 6),
)


@pytest.fixture(scope="module")
def played() -> tuple[WatchedModel, dict[str, set[str]]]:
    """The model after enough plays to reach everything, and the statuses that it gave."""
    model = WatchedModel()
    reached: dict[str, set[str]] = {name: set() for name in STATUSES}
    wanted = seeds(120)
    order = sorted(wanted, key=lambda seed: seed not in FIRST)
    for number, seed in enumerate(order, 1):
        for step, outcome in zip(*drawn(seed, model), strict=True):
            if step.name in STATUSES:
                reached[step.name] |= statuses_in(step.name, plain(outcome.reply))
        looks = number >= len(FIRST) and (number - len(FIRST)) % 5 == 0
        if looks and not _statuses_missed(reached) and not _lines_missed(model):
            break
    return model, reached


def _statuses_missed(reached: dict[str, set[str]]) -> dict[str, set[str]]:
    missed = {name: words - reached[name] for name, words in STATUSES.items()}
    return {name: words for name, words in missed.items() if words}


def _lines_missed(model: WatchedModel) -> dict[tuple[str, int], str]:
    run = model.lines_run()
    return {
        where: text
        for where, text in lines_to_run().items()
        if where not in run and (where[0], text) not in UNREACHABLE
    }


@pytest.mark.slow
def test_every_status_of_every_script_is_reached(played: Any) -> None:
    _, reached = played
    assert not _statuses_missed(reached)


@pytest.mark.slow
def test_every_line_of_every_script_is_reached(played: Any) -> None:
    model, _ = played
    lines, missed = lines_to_run(), _lines_missed(model)
    problem = "\n".join(f"{file}:{at}: {text}" for (file, at), text in sorted(missed.items()))
    assert not missed, f"{len(missed)} of {len(lines)} lines are reached by no play:\n{problem}"
    assert set(UNREACHABLE) <= {(file, text) for (file, _), text in lines.items()}
