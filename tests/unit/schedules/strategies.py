"""Random cron fields and crontabs."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st

# No deadline: a test says nothing about how fast the machine is.
untimed = settings(deadline=None)

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


def parts(low: int, high: int, names: tuple[str, ...] = ()) -> st.SearchStrategy[str]:
    """One part of a field that all crons read alike: number, range, step, name."""
    number = st.integers(low, high)
    ranges = st.tuples(number, number).filter(lambda pair: pair[0] < pair[1])
    step = st.integers(1, high)
    plain = [
        number.map(str),
        ranges.map(lambda pair: f"{pair[0]}-{pair[1]}"),
        st.tuples(ranges, step).map(lambda got: f"{got[0][0]}-{got[0][1]}/{got[1]}"),
    ]
    if names:
        plain.append(st.sampled_from(names))
        plain.append(ranges.map(lambda pair: f"{names[pair[0] - low]}-{names[pair[1] - low]}"))
    return st.one_of(*plain)


def fields(low: int, high: int, names: tuple[str, ...] = ()) -> st.SearchStrategy[str]:
    """A field: a star, a star with a step, or a list of parts."""
    step = st.integers(1, high)
    lists = st.lists(parts(low, high, names), min_size=1, max_size=3).map(",".join)
    return st.one_of(st.just("*"), step.map("*/{}".format), lists)


MINUTES = fields(0, 59)
HOURS = fields(0, 23)
DAYS = fields(1, 31)
MONTH_FIELDS = fields(1, 12, MONTHS)
WEEKDAY_FIELDS = fields(0, 6, WEEKDAYS)

#: Forms beyond Vixie cron's, by field.
DAYS_FROM_THE_END = st.lists(
    st.one_of(
        st.just("L"),
        st.just("LW"),
        st.integers(1, 30).map("L-{}".format),
        st.integers(1, 30).map("L-{}W".format),
        st.integers(1, 31).map("{}W".format),
        st.integers(1, 31).map(str),
    ),
    min_size=1,
    max_size=4,
).map(",".join)
MIXED_WEEKDAYS = st.tuples(
    st.sampled_from(["", "+"]),
    st.lists(
        st.one_of(
            st.integers(0, 6).map(str),
            st.integers(0, 6).map("{}L".format),
            st.tuples(st.integers(0, 6), st.integers(1, 5)).map("{0[0]}#{0[1]}".format),
            st.sampled_from(["friday", "Wednesday", "monday-friday"]),
        ),
        min_size=1,
        max_size=4,
    ).map(",".join),
).map("".join)
YEARS = st.one_of(
    st.just("*"),
    st.just("*/3"),
    st.integers(1970, 2099).map(str),
    st.tuples(st.integers(1990, 2030), st.integers(0, 9)).map(lambda got: f"{got[0]}-{sum(got)}"),
)
