"""One test for many cases of one rule, such as all pages or all modules."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import pytest

T = TypeVar("T")


def for_every(
    cases: Iterable[T], name: Callable[[T], str] = str
) -> Callable[[Callable[[T], None]], Callable[[], None]]:
    """Make one test of a check that takes a case; it fails with the name of each case that fails.

    For checks that take less time than pytest needs for a test of its own. A case is a module, a
    page or a row of a table; where the cases differ in what they try, parametrize the test.
    """
    listed = list(cases)

    def decorate(check: Callable[[T], None]) -> Callable[[], None]:
        def test() -> None:
            assert listed, "there is no case"
            failed = [
                (name(case), error)
                for case in listed
                if (error := _failure(check, case)) is not None
            ]
            if failed:
                said = "\n".join(
                    f"{case}: {type(error).__name__}: {error}" for case, error in failed
                )
                first = failed[0][1]
                raise AssertionError(f"{len(failed)} of {len(listed)} fail\n{said}") from first

        test.__name__ = test.__qualname__ = check.__name__
        test.__module__, test.__doc__ = check.__module__, check.__doc__
        return test

    return decorate


def _failure(check: Callable[[T], None], case: T) -> Exception | pytest.fail.Exception | None:
    try:
        check(case)
    except (Exception, pytest.fail.Exception) as error:
        return error
    return None
