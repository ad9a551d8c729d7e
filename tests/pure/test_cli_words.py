"""COMMAND as one word."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowrun import UsageError
from lowrun.cli.words import hint, shell_words, split


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ping -c 1 127.0.0.1"], ("ping", "-c", "1", "127.0.0.1")),
        (["echo 'a b' \"c\" d\\ e"], ("echo", "a b", "c", "d e")),
        (["echo\ta\nb"], ("echo", "a", "b")),
        (["true"], ("true",)),
        (["a b", "c"], ("a b", "c")),
        ([""], ("",)),
        (["echo # no comment"], ("echo", "#", "no", "comment")),
    ],
)
def test_one_word_with_blanks_is_split(words: list[str], expected: tuple[str, ...]) -> None:
    """Only one single word that has blanks is split, as a shell would."""
    assert split(words) == expected


def test_a_file_with_blanks_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A word that names a file is that file, by its path, here or in PATH."""
    program = tmp_path / "a b"
    program.touch()
    assert split([str(program)]) == (str(program),)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert split(["a b"]) == ("a b",)
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.chdir(tmp_path)
    assert split(["a b"]) == ("a b",)


@pytest.mark.parametrize("word", ["echo 'a", "  ", "echo \\"])
def test_what_cannot_be_split_is_wrong_usage(word: str) -> None:
    """An open quote or blanks alone are no COMMAND."""
    with pytest.raises(UsageError):
        split([word])


@given(st.lists(st.text(st.characters(exclude_categories=[], exclude_characters="\0")), min_size=2))
def test_quoted_words_come_back(argv: list[str]) -> None:
    """Whatever shlex quotes comes back as it was, lone surrogates (bytes that are no UTF-8) included."""
    word = shlex.join(argv)
    if word.strip():
        assert split([word]) == tuple(argv)


@pytest.mark.parametrize(
    ("word", "operators"),
    [
        ("cat a|wc -l", ["|"]),
        ("a > b", [">"]),
        ("a && b", ["&&"]),
        ("a 2>&1 >>x", [">&", ">>"]),
        ("a || b", ["||"]),
        ("grep 'a|b' f", []),
        ("awk '{ x > 2 }' f", []),
        ("find . -name '*.c'", []),
    ],
)
def test_shell_words_are_seen(word: str, operators: list[str]) -> None:
    """What only a shell would act on is found where it stands unquoted, and the hint says what to type instead."""
    assert shell_words(word) == operators
    assert hint(word, operators).endswith(f"sh -c {shlex.quote(word)}")
