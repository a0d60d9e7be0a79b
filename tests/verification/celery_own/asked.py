"""How often the running test has asked habeat; a test that never does proves nothing."""

from __future__ import annotations

from collections import Counter

asked: Counter[str] = Counter()
