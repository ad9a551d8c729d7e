"""Wrong values of every option of `lowrun start`, as words and in a file: one line, exit 2, and nothing made."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowrun import UsageError, supervise
from lowrun.cli.main import main
from lowrun.cli.start_options import START_OPTIONS
from lowrun.supervise.config import parse

NUMBERS = ("", "x", "-1", "1.5", "0x10", "1_0", "\u0663", "1 ", "9" * 5000)
TIMES = ("", "soon", "-1", "nan", "inf", "1e10", "1_0", "5s")
LONGER_THAN_0 = (*TIMES, "0")
SIZES = ("", "x", "-1", "1.5K", "K", "10T", "9" * 30, "9999999999G")
SIGNALS = ("", "HUPP", "0", "-1", "65", "9" * 5000, "RTMIN+99", f"RTMIN+{'9' * 5000}", "SIG")
CODES = ("", "x", "256", "9" * 5000, "-1", "1,,2", "1-3")
COMMANDS = ("", " ", "'x", "''")
RECORDED = ("",)
#: Option -> words that it refuses; None: it is a switch. Names and paths that have to exist are looked for.
WRONG: dict[str, tuple[str, ...] | None] = {
    "respawn": ("often", "ALWAYS", "true", "1"),
    "respawn-limit": NUMBERS,
    "respawn-timeout": TIMES,
    "backoff": TIMES,
    "stable-after": TIMES,
    "start-limit": ("", "3", "3/", "/3", "0/3", "3/0", "3/x", "x/3", "3/3/3"),
    "success-exit-status": CODES,
    "restart-prevent": CODES,
    "pidfile": ("x", "./x"),
    "attach": ("", "x", "0", "-1", "4194304", "99999999999999999999", "4194303"),
    "ready": (
        "",
        "notfy",
        "notify=1",
        "fd",
        "fd=",
        "fd=x",
        "fd=-1",
        *(f"fd={number}" for number in range(3)),
        "fd=9999999999",
        f"fd={'9' * 5000}",
        "fd=1048576",
        "tcp",
        "tcp=80",
        "tcp=a:",
        "tcp=a:0",
        "tcp=a:65536",
        f"tcp=a:{'9' * 5000}",
        "log",
        "log=",
        "log=(",
        "log=a**",
    ),
    "start-timeout": LONGER_THAN_0,
    "watchdog": LONGER_THAN_0,
    "stop-signal": SIGNALS,
    "stop-timeout": TIMES,
    "reload-signal": SIGNALS,
    "on-lost": ("", "forget", "Keep"),
    "user": ("", "no such user", "4294967295", "9" * 5000, "-1"),
    "group": ("", "no such group", "4294967295", "9" * 5000, "-1"),
    "groups": ("", ",", "root,,root", "no such group", "4294967295", "9" * 5000),
    "chroot": ("",),
    "cwd": ("",),
    "env": ("", "A", "=", "=b"),
    "env-file": ("", "/nonexistent/file", "/"),
    "umask": ("", "8", "1000", "-1", "0o22", "u=rwx"),
    "nice": ("", "x", "9" * 5000, "20", "-21", "1.5", "--1"),
    "limit": ("", "nofile", "nofile=", "nofile=x", "nofile=3:2", "nofile=-1", "files=3", "=3", f"nofile={'9' * 30}"),
    "oom-score-adj": ("", "x", "1001", "-1001"),
    "memory-limit": (*SIZES, "0"),
    "cpu-limit": ("", "x", "0", "-1", "%", "nan", "50%%"),
    "socket": (
        "",
        "80",
        "ftp:1",
        "tcp:",
        "tcp:localhost",
        "tcp:a:99999",
        "tcp:::1:80",
        "unix:relative",
        "unix:",
        "unix:@",
        "unix:/" + "x" * 107,
        "tcp:80,mode=600",
        "tcp:80,backlog=x",
        "tcp:80,name=",
    ),
    "output": ("", "nowhere", "FILE"),
    "pass-output": None,
    "log-size": SIZES,
    "log-keep": (*NUMBERS, "9999999999"),
    "pre": COMMANDS,
    "post": COMMANDS,
    "on-exit": COMMANDS,
    "sys-trace": None,
    "call-trace": None,
    "log-trace": None,
    "net-trace": None,
    "calls": RECORDED,
    "keep-binary": None,
    "interval": TIMES,
    "net-interface": RECORDED,
    "net-filter": (),
    "net-ring-size": SIZES,
    "snaplen": (*NUMBERS, "0"),
    "last": LONGER_THAN_0,
    "last-size": SIZES,
    "keep-failures": (*NUMBERS, "0"),
    "foreground": None,
    "name": ("", ".", "..", ".x", "a/b", "a b", "x" * 129, "a\nb"),
    "file": ("", "/nonexistent/file", "/"),
    "debug": None,
    "help": None,
}
LONG = {option.field: option.names[-1] for option in START_OPTIONS}
#: What an option needs beside it, so that its value alone is wrong.
BESIDE = {
    "calls": ["-ct"], "keep-binary": ["-ct"], "interval": ["-st"], "net-interface": ["-nt"], "net-ring-size": ["-nt"],
    "snaplen": ["-nt"], "last": ["-st"], "last-size": ["-st"], "keep-failures": ["-st"],
}  # fmt: skip


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where state would be made."""
    path = tmp_path / "state"
    monkeypatch.setenv("LOWRUN_STATE_DIR", str(path))

    def forked() -> int:
        raise AssertionError("it goes into the background")

    monkeypatch.setattr(os, "fork", forked)
    return path


def assert_refused(words: list[str], state: Path, capfd: pytest.CaptureFixture[str]) -> str:
    assert main(["start", *words]) == 2, words
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1), (words, err)
    assert err.startswith("lowrun: ") and "defect" not in err
    assert not state.exists()
    return err


def test_no_option_is_left_out() -> None:
    """What is asked for below is asked for of each."""
    assert WRONG.keys() == LONG.keys()


@pytest.mark.parametrize("field", WRONG)
def test_a_wrong_word(field: str, state: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It is told before lowrun goes into the background, and before it makes a file."""
    wrong = WRONG[field]
    program = [] if field == "file" else ["true"]
    for value in ("1",) if wrong is None else wrong:
        err = assert_refused([*BESIDE.get(field, ()), f"{LONG[field]}={value}", *program], state, capfd)
        assert "no PROGRAM" not in err


@pytest.mark.parametrize("field", sorted(WRONG.keys() & supervise.SETTINGS.keys()))
def test_a_wrong_value_in_a_file(field: str, state: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The same, and the line is named; so are values of a type that no option has, and NUL characters."""
    import json

    file = tmp_path / "x.toml"
    beside = [f"{SHORT[word]} = true\n" for word in BESIDE.get(field, ())]
    odd = ("1979-05-27", "[[1]]", "[{}]", "{ x = [1] }", "nan", '"a\\u0000b"')
    for value in (*map(json.dumps, WRONG[field] or ("yes",)), *odd):
        file.write_text(f'[program.x]\ncommand = "true"\n{"".join(beside)}{field} = {value}\n')
        err = assert_refused(["-f", str(file)], state, capfd)
        assert err.startswith(f"lowrun: {file}:"), err


SHORT = {"-ct": "call-trace", "-st": "sys-trace", "-nt": "net-trace"}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('command = ["x", "a\\u0000"]', "a text without a NUL character is needed"),
        ('command = "x"\nenv = { "A=B" = "c" }', "'A=B' can be no name here"),
        ('command = "x"\nenv = { "" = "c" }', "'' can be no name here"),
        ('command = "x"\nenv = { "A\\u0000" = "c" }', "'A\\x00' can be no name here"),
        ('command = ["", "x"]', "a command is needed"),
        ("command = \"'' x\"", "a command is needed"),
    ],
)
def test_what_no_process_can_be_given(lines: str, message: str) -> None:
    """A file can say what a word cannot hold."""
    with pytest.raises(UsageError) as refused:
        parse(f"[program.x]\n{lines}\n", "f")
    assert message in str(refused.value)


TOML = st.one_of(
    st.sampled_from(["true", "false", "0", "-1", "1.5", "inf", "[]", '[""]', "{}", "{ a = 1 }", "07:32:00", '""']),
    st.integers().map(str),
    st.lists(st.integers()).map(str),
)


@given(st.sampled_from(sorted({*supervise.SETTINGS, "command"})), TOML)
def test_any_value_is_taken_or_refused(key: str, value: str) -> None:
    """Nothing else comes of it."""
    command = "" if key == "command" else 'command = "true"\n'
    said = "f:"
    try:
        parse(f"[program.x]\n{command}{key} = {value}\n", "f")
    except UsageError as error:
        said = str(error)
    assert said.startswith("f:") and "\n" not in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--ready fd=3 --socket tcp:80 x", "--ready fd=3 is a socket's: --socket takes 3; as fd=4 it is free"),
        (
            "--socket tcp:80 --socket unix:/s --ready fd=4 x",
            "is a socket's: --socket takes 3 to 4; as fd=5 it is free",
        ),
        (" ".join(["--socket", "unix:/s"] * 61) + " x", "--socket: at most 60 sockets"),
        ("--ready log=x --pass-output -D x", "--ready log=... reads the output: not with --pass-output"),
        ("--ready log=x --output pass -D x", "--ready log=... reads the output: not with --pass-output"),
    ],
)
def test_values_that_do_not_go_together(
    words: str, message: str, state: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """They are told as early."""
    assert message in assert_refused(words.split(), state, capfd)


def test_a_descriptor_that_nobody_can_have(state: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The hard limit of lowrun is the one of its programs."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < 1 << 20:
        assert f"above {hard - 1} (ulimit -Hn)" in assert_refused(["--ready", f"fd={hard}", "x"], state, capfd)


def test_a_descriptor_behind_the_sockets(state: Path) -> None:
    """It is free."""
    from lowrun.cli.start_options import read_start

    words = ["--socket", "tcp:80", "--socket", "tcp:81", "--ready", "fd=5", "x"]
    assert read_start(words).programs[0].ready == "fd=5"


def test_as_many_sockets_as_a_keeper_passes_on() -> None:
    """With 0 to 2, and the descriptor of --ready fd=N."""
    from lowrun._native import lib
    from lowrun.supervise.readyspec import MAX_SOCKETS

    assert MAX_SOCKETS + 4 == lib.LR_KEEPER_MAX_FDS
