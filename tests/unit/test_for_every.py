"""`for_every` loses no case that fails."""

from __future__ import annotations

import pytest

from tests.support.cases import for_every


def test_each_case_that_fails_is_named_with_what_is_wrong() -> None:
    tried = []

    @for_every([1, 2, 3, 4], "case {}".format)
    def check(case: int) -> None:
        tried.append(case)
        if case == 3:
            raise ValueError("not a page")
        assert case != 2, "two is too many"

    with pytest.raises(AssertionError) as failure:
        check()
    assert tried == [1, 2, 3, 4]
    first, *lines = str(failure.value).splitlines()
    assert first == "2 of 4 fail"
    assert lines[0].startswith("case 2: AssertionError: two is too many")
    assert lines[-1] == "case 3: ValueError: not a page"


def test_a_rule_without_cases_fails() -> None:
    @for_every([])
    def check(case: object) -> None: ...

    with pytest.raises(AssertionError, match="no case"):
        check()
