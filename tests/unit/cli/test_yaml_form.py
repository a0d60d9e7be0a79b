"""Documents as YAML: what is written is read again, exactly, and nothing harmful is read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from habeat.cli.yaml_form import from_yaml, to_yaml

yaml = pytest.importorskip("yaml")

#: Texts that one reader of YAML or another takes for something else.
TRAPS = [
    *("yes", "No", "on", "OFF", "y", "n", "true", "False", "null", "~", "", " ", "Null"),
    *("08:00", "8:00:00", "2026-01-01", "2026-01-01T08:00:00Z", "2026-01-01 08:00:00 +01:00"),
    *("1", "01", "0o17", "0x1f", "1e3", "1_000", "-1", "+1", ".5", "1.", ".inf", ".nan", "NaN"),
    *("- a", "a: b", "a #b", "#a", "&a", "*a", "!a", "%a", "@a", "`a", "|", ">", "?", "{", "[a]"),
    *("'", '"', "\\", "a\nb", "\ta", "a ", " a", "---", "...", "<<", "=", "a,b", "a:", ":a"),
    *("\x1b[31m", "\u202eevil", "\ud800", "\x00", "\x85", "\u2028", "é", "日本", "😀", "\ufeff"),
]


def read(text: str) -> Any:
    return from_yaml(text)


@pytest.mark.parametrize("text", TRAPS)
def test_a_text_stays_a_text(text: str) -> None:
    document = {"a": text, "b": [text], "c": {text: 1}}
    assert read(to_yaml(document)) == document


@pytest.mark.parametrize("text", [each for each in TRAPS if each.isprintable()])
def test_other_readers_of_yaml_take_it_for_a_text_too(text: str) -> None:
    assert yaml.safe_load(to_yaml({"a": text})) == {"a": text}


@pytest.mark.parametrize("word", ["y", "N", "yes", "Off", "null", "nan", "08:00", "1e3", "a b"])
def test_a_word_that_some_reader_takes_for_something_else_is_in_quotes(word: str) -> None:
    assert to_yaml({"a": word}) == f'a: "{word}"\n'


def test_other_words_are_not_in_quotes() -> None:
    assert to_yaml({"task": "proj.tasks.nightly-report"}) == "task: proj.tasks.nightly-report\n"


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text() | st.sampled_from(TRAPS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(), PLAIN, max_size=5))
def test_any_document_is_the_same_after_a_round_trip(document: dict[str, Any]) -> None:
    again = read(to_yaml(document))
    assert json.dumps(again) == json.dumps(document)


def test_what_is_written_can_be_printed_on_any_terminal() -> None:
    written = to_yaml({"a": "\x1b[31m\u202e\ud800é"})
    assert written.replace("\n", "").isprintable()
    assert "é" in written


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("08:00", "08:00"),
        ("2026-01-01", "2026-01-01"),
        ("010", "010"),
        ("1_000", "1_000"),
        ("0x10", "0x10"),
        (".inf", ".inf"),
        ("1", 1),
        ("-2.5e3", -2500.0),
        ("true", True),
        ("null", None),
        ("!!str 5", "5"),
        ("'5'", "5"),
    ],
)
def test_what_a_person_writes_has_the_types_of_json_and_no_others(text: str, value: Any) -> None:
    assert read(f"a: {text}") == {"a": value}
    assert type(read(f"a: {text}")["a"]) is type(value)


def test_aliases_stand_for_what_they_name() -> None:
    assert read("a: &x {q: [1]}\nb: *x") == {"a": {"q": [1]}, "b": {"q": [1]}}


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (BOMB, "aliases expand to too many"),
        ("a: " + "[" * 100 + "]" * 100, "deeper than"),
        ("a: &a [*a]", "not defined before"),
        ("a: *x", "not defined before"),
        ("a: !!python/object/apply:os.system ['true']", "tag"),
        ("a: !!timestamp 2026-01-01", "tag"),
        ("a: !!binary aGk=", "tag"),
        ("a: 1\na: 2", "twice"),
        ("? [1]\n: 2", "not text"),
        ("a: 1\n---\nb: 2", "more than one document"),
        ("a: [", "line"),
        ("a: \x1b", "special characters"),
    ],
    ids=range(12),
)
def test_what_is_harmful_or_no_document_is_refused_in_words(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        from_yaml(text)


def test_a_merge_key_is_a_key() -> None:
    assert read("a: &x {q: 1}\nb: {<<: *x}")["b"] == {"<<": {"q": 1}}


def test_an_empty_file_is_no_document() -> None:
    assert from_yaml("") is None
    assert from_yaml("# only a remark\n") is None
