"""The devices of the endpoint of a beat, and of the metrics."""

from __future__ import annotations

from tests.verification.mutations.device import SCRIPTS, Device

SERVER = "tests/unit/beat/http/test_server.py"
MESSAGE = "tests/unit/beat/http/test_message.py"
SAMPLES = "tests/unit/metrics/test_samples.py"
COUNTS = "tests/integration/scripts/test_outcome_counts.py"
FIGURES = "tests/integration/scripts/test_figures.py"
TRACES = "tests/unit/contrib/test_opentelemetry.py"


def _http(file: str, name: str, protects: str, old: str, new: str, suite: str = SERVER) -> Device:
    return Device(f"endpoint: {name}", protects, f"beat/http/{file}.py", old, new, suite)


ALL = [
    _http(
        "server",
        "the oldest connection makes room",
        "Slow clients cannot keep a liveness probe out, so none restarts a beat",
        "if len(self._clients) >= CONNECTIONS_MOST:",
        "if False:",
    ),
    _http(
        "server",
        "a limit for the head",
        "A client cannot make beat keep more than 8 KiB",
        "if len(head) > HEAD_MAX_BYTES:\n                return head",
        "if False:\n                return head",
    ),
    _http(
        "server",
        "a time limit for the request",
        "A client that never ends its request is cut off",
        "await asyncio.wait_for(self._read(client), READ_WITHIN_S)",
        "await self._read(client)",
    ),
    _http(
        "server",
        "one look at Redis for all who ask",
        "Any number of probes costs Redis no more than one a second",
        "if found is None or (found.done() and",
        "if True or (found.done() and",
    ),
    _http(
        "server",
        "a port in use",
        "Beat goes on without its endpoint, and tries again",
        "                await asyncio.sleep(BIND_AGAIN_S)\n                continue",
        "                raise",
    ),
    _http(
        "server",
        "a forked child",
        "The port does not stay in use because a child has a copy of the socket",
        "        for each in (self._listener, *self._clients):\n",
        "        for each in ():\n",
    ),
    _http(
        "server",
        "an answer that fails",
        "A defect in one answer leaves no client waiting",
        '                answer = plain(503, "the answer cannot be computed; the log says why")\n',
        "                return\n",
    ),
    _http(
        "answers",
        "the token",
        "A client without the token cannot read the names of entries",
        'return same and scheme.lower() == "bearer"',
        "return True",
    ),
    _http(
        "answers",
        "liveness without Redis",
        "An outage of Redis does not restart a beat",
        "        if age_ms > STALE_AFTER_MS:",
        "        if age_ms > STALE_AFTER_MS or not self._source.answers():",
    ),
    _http(
        "message",
        "lines of a head",
        "A line that is not an HTTP header is refused, not guessed",
        "if found is None or not all(headers):",
        "if found is None:",
        MESSAGE,
    ),
    Device(
        "metrics: each series once",
        "Two names that look alike do not make Prometheus drop the scrape",
        "metrics/samples.py",
        "if (name, shown) not in seen:",
        "if True:",
        SAMPLES,
    ),
    Device(
        "metrics: printable labels",
        "No name forges a metric, a line or an escape sequence",
        "metrics/samples.py",
        "tuple(printable(label, LABEL_MAX_CHARS) for label in labels)",
        "tuple(labels)",
        SAMPLES,
    ),
    Device(
        "metrics: a key of a foreign type",
        "One damaged key does not hide all metrics",
        "store/calling.py",
        "if _FOREIGN in str(found):",
        "if False:",
        FIGURES,
    ),
    Device(
        "metrics: a limit for entries",
        "A schedule of any size is scraped at the same cost",
        "store/figures.py",
        'NameIndex(caller).page("", b"", listed)',
        'NameIndex(caller).page("", b"", 1_000_000)',
        FIGURES,
    ),
    Device(
        "outcomes: of an entry that is there",
        "Counters of removed entries do not pile up",
        f"{SCRIPTS}/common.lua",
        "  if redis.call('HEXISTS', ENTRIES, name) == 1 then\n    redis.pcall",
        "  if true then\n    redis.pcall",
        COUNTS,
    ),
    Device(
        "outcomes: slots only",
        "A request is not counted as a slot of its entry",
        f"{SCRIPTS}/common.lua",
        "if not request and outcome ~= 'sent'",
        "if outcome ~= 'sent'",
        COUNTS,
    ),
    Device(
        "traces: messages that are never signalled",
        "Claims that are refused do not fill the memory",
        "contrib/opentelemetry.py",
        "while len(self._contexts) > REMEMBERED:",
        "while False:",
        TRACES,
    ),
]
