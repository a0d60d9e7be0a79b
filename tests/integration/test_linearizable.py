"""Of competing callers, one succeeds: threads and processes, with replies that are lost."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter

import pytest

from tests import ROOT
from tests.integration.callers import names_of
from tests.support.servers.redis_server import Server
from tests.verification.history.linear import UNKNOWN, Call, linearizable

PROCESSES, THREADS, ROUNDS = 3, 3, 20
#: What must have happened often enough for a run to be meaningful.
WANTED = (
    *((act, "ok") for act in ("add", "update", "remove", "rename")),
    ("update", "conflict"),
)


def calls_of_all(server: Server, run: int) -> list[Call]:
    everybody = PROCESSES * THREADS
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.integration.callers", server.url(),
             *map(str, (seed, THREADS, everybody, ROUNDS))],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )
        for seed in range(run * PROCESSES, (run + 1) * PROCESSES)
    ]  # fmt: skip
    found = [process.communicate(timeout=120)[0] for process in running]
    assert [process.returncode for process in running] == [0] * PROCESSES
    return [Call(**json.loads(line)) for text in found for line in text.splitlines()]


@pytest.mark.slow
def test_calls_of_many_could_have_been_made_one_after_the_other(valkey: Server) -> None:
    calls: list[Call] = []
    answers: Counter[tuple[str, str]] = Counter()
    for run in range(10):  # how often callers meet depends on what else the machine does
        valkey.admin.flushall()
        made = calls_of_all(valkey, run)
        check_rounds(made)
        calls += made
        answers.update((call.act, call.answer) for call in made)
        if all(answers[wanted] > 5 for wanted in WANTED):
            break
    assert all(answers[wanted] > 5 for wanted in WANTED), answers
    assert sum(n for (_, answer), n in answers.items() if answer == UNKNOWN) < len(calls) / 10


def check_rounds(calls: list[Call]) -> None:
    for number in range(ROUNDS):
        names = names_of(number)
        of_round = [call for call in calls if call.name in names]
        assert linearizable(of_round), "\n".join(map(str, sorted(of_round, key=lambda c: c.began)))
