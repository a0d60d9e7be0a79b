"""How often the running test has asked habeat: one that never does is no agreement."""

from __future__ import annotations

from collections import Counter

asked: Counter[str] = Counter()
