"""Spans of time as people write and read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from habeat.entries.spans import milliseconds, relative, seconds_of, span, written

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("300", 300),
        ("0.5", 0.5),
        ("90s", 90),
        ("5m", 300),
        ("1h30m", 5_400),
        ("250ms", 0.25),
        ("1w", 604_800),
        ("1w2d", 777_600),
    ]
    + [(text, None) for text in ("", "m", "5 m", "5x", "-5", "1h30", "m5", "inf")],
)
def test_spans(text: str, seconds: float | None) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0s"),
        (250, "250ms"),
        (90_000, "1m30s"),
        (86_400_000, "1d"),
        (1_000_000_000_001, "11574d1h46m40s1ms"),
    ],
)
def test_a_span_is_written_so_that_it_is_read_back(ms: int, text: str) -> None:
    assert written(ms) == text
    assert seconds_of(text) == ms / 1_000


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.5, "now"), (240, "in 4m"), (-12, "12s ago"), (3_900, "in 1h 5m"), (-90_000, "1d 1h ago")],
)
def test_a_distance_from_now(seconds: float, words: str) -> None:
    assert relative(NOW + timedelta(seconds=seconds), NOW) == words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (59, "59s"),
        (61, "1m 1s"),
        (600, "10m"),
        (630, "10m"),
        (3_600, "1h"),
        (3_660, "1h 1m"),
        (86_399, "23h"),
        (90_000, "1d 1h"),
        (-240, "4m"),
        (864_000 * 40, "400d"),
    ],
)
def test_how_spans_are_shown(seconds: int, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("ms", "text"), [(None, "-"), (0, "0 ms"), (999, "999 ms"), (3_400, "3.4 s"), (300_000, "5m")]
)
def test_latenesses(ms: int | None, text: str) -> None:
    assert milliseconds(ms) == text
