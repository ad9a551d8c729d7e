"""Files of variables, users and groups, resource limits: what a supervised program starts in."""

from __future__ import annotations

import grp
import os
import pwd
import resource
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowrun import UsageError, notation
from lowrun.supervise.envfile import parse_env_file
from lowrun.supervise.environment import Identity, identity, make_command, resource_limit

HERE = "/somewhere"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=b", {"A": "b"}),
        ("A=b\n\nC=d\n", {"A": "b", "C": "d"}),
        ("A=1\nA=2\n", {"A": "2"}),
        ("# A=b\n; C=d\n  # E=f\n", {}),
        ("A=b # c", {"A": "b # c"}),
        ("no assignment\nA=b", {"A": "b"}),
        ("  A = b c  \n", {"A": "b c"}),
        ("A=", {"A": ""}),
        ("A=\nB=x", {"A": "", "B": "x"}),
        ("A=b\\\nc", {"A": "bc"}),
        ("A=b\\ \n", {"A": "b "}),
        ("A=\\x\\\\", {"A": "x\\"}),
        ("A='b c '", {"A": "b c "}),
        ("A='b\nc'", {"A": "b\nc"}),
        ("A='\\n$HOME\"'", {"A": '\\n$HOME"'}),
        ('A="b c "', {"A": "b c "}),
        ('A="\\"\\\\\\$\\`\\n"', {"A": '"\\$`\\n'}),
        ('A="b\\\nc"', {"A": "bc"}),
        ("A=\"b\"'c'", {"A": "bc"}),
        ("A='b'c ", {"A": "bc"}),
        ("A=b'c'", {"A": "b'c'"}),
        ("A=$HOME ${X} `x`", {"A": "$HOME ${X} `x`"}),
        ("A=b=c", {"A": "b=c"}),
        ("A=b\r\nC=d\r\n", {"A": "b", "C": "d"}),
        ("", {}),
    ],
)
def test_a_file_of_variables(text: str, expected: dict[str, str]) -> None:
    """systemd's rules: comments, quotes, continued lines; nothing is expanded."""
    assert parse_env_file(text, "vars") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A=b\n1A=b\n", "vars:2: '1A' can be no variable's name"),
        ("export A=b", "vars:1: 'export A' can be no variable's name"),
        ("=b", "vars:1: '' can be"),
        ("A='b\n\n", "vars:3: a quote is not closed"),
        ('A="b', "vars:1: a quote is not closed"),
        ("A=b\0", "vars:1: it holds a NUL character"),
    ],
)
def test_what_is_wrong_in_a_file_of_variables_is_named(text: str, message: str) -> None:
    """What systemd leaves out with a warning is an error that names the line."""
    with pytest.raises(UsageError) as caught:
        parse_env_file(text, "vars")
    assert str(caught.value).startswith(message)


VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)))


@given(VALUES)
def test_any_value_can_be_written_in_quotes(value: str) -> None:
    """A value survives; a single quote is written between double ones."""
    parts = '"\'"'.join(f"'{part}'" for part in value.split("'"))
    assert parse_env_file(f"A={parts}\nB=1", "x") == {"A": value, "B": "1"}


def test_a_user_comes_with_group_groups_and_variables() -> None:
    """As systemd's User=: its own group, all it is a member of; HOME, USER, LOGNAME, SHELL."""
    account = pwd.getpwnam("daemon")
    expected = Identity(
        account.pw_uid,
        account.pw_gid,
        tuple(os.getgrouplist("daemon", account.pw_gid)),
        {"HOME": account.pw_dir, "USER": "daemon", "LOGNAME": "daemon", "SHELL": account.pw_shell},
    )
    assert identity("daemon", None, None) == expected
    assert identity(str(account.pw_uid), None, None) == expected
    command = make_command(["x"], {"user": "daemon", "env": (("SHELL", "/bin/dash"),)}, HERE)
    assert command.env == {**os.environ, **expected.variables, "SHELL": "/bin/dash"}
    assert (command.uid, command.gid, command.groups) == expected[:3]


def test_groups_by_name_and_number() -> None:
    """--group and --groups win over the user's; a group alone leaves the user alone and has no others beside."""
    mail = grp.getgrnam("mail").gr_gid
    assert identity("daemon", "mail", ("bin", "7"))[:3] == (
        pwd.getpwnam("daemon").pw_uid, mail, (grp.getgrnam("bin").gr_gid, 7)
    )  # fmt: skip
    assert identity(None, "mail", None) == Identity(None, mail, ())
    assert identity("54321", "54322", None) == Identity(54321, 54322, ())


def test_nothing_asked_changes_nothing() -> None:
    """Without an option for it, all is inherited; who asks to be who he is gets no change of ids."""
    assert identity(None, None, None) == Identity()
    command = make_command(["x", "y"], {}, HERE)
    assert command.env is None and command.cwd is None and command.uid is None
    assert command.rlimits == {resource.RLIMIT_NOFILE: resource.getrlimit(resource.RLIMIT_NOFILE)}


@pytest.mark.parametrize(
    ("text", "number", "limits"),
    [
        ("nofile=1024:4096", resource.RLIMIT_NOFILE, (1024, 4096)),
        ("RLIMIT_NOFILE=64K", resource.RLIMIT_NOFILE, (65536, 65536)),
        ("core=0", resource.RLIMIT_CORE, (0, 0)),
        ("MEMLOCK=8M:infinity", resource.RLIMIT_MEMLOCK, (8 << 20, -1)),
        ("nproc=unlimited", resource.RLIMIT_NPROC, (-1, -1)),
        ("stack=1G:", resource.RLIMIT_STACK, (1 << 30, 1 << 30)),
    ],
)
def test_resource_limits(text: str, number: int, limits: tuple[int, int]) -> None:
    """NAME=SOFT:HARD with the kernel's names; one value is both."""
    assert resource_limit(text) == (number, limits)


@pytest.mark.parametrize("text", ["nofile=", "nofile=:", "nofile=-1", "nofile=2:1", "nofile=infinity:1", "x=1"])
def test_what_is_no_resource_limit(text: str) -> None:
    """Each is refused."""
    with pytest.raises(ValueError):
        resource_limit(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("TERM", signal.SIGTERM), ("SIGTERM", signal.SIGTERM), ("sigusr1", signal.SIGUSR1), ("15", signal.SIGTERM),
        ("RTMIN", signal.SIGRTMIN), ("SIGRTMIN+3", signal.SIGRTMIN + 3), ("RTMAX-1", signal.SIGRTMAX - 1),
        ("CLD", signal.SIGCHLD), ("64", signal.SIGRTMAX),
    ],
)  # fmt: skip
def test_signals_by_name_and_number(text: str, number: int) -> None:
    """As kill(1) has them."""
    assert notation.signal_number(text) == number


@pytest.mark.parametrize("text", ["", "0", "65", "-9", "TERMINATE", "SIG", "RTMIN-1", "RTMAX+1", "RTMIN+x", "SIG15"])
def test_what_is_no_signal(text: str) -> None:
    """Each is refused."""
    with pytest.raises(ValueError, match="a signal is needed"):
        notation.signal_number(text)


@given(st.integers(0, 0o777))
def test_umasks_are_octal(mask: int) -> None:
    """With and without a leading 0."""
    assert notation.umask(f"{mask:o}") == notation.umask(f"0{mask:o}") == mask


READERS = (
    notation.size, notation.seconds, notation.umask, notation.signal_number, notation.codes, notation.whole,
    notation.names, notation.assignment, notation.words, notation.between(-5, 5), resource_limit,
)  # fmt: skip


@given(st.text(), st.sampled_from(READERS))
def test_readers_refuse_or_return(text: str, read: Callable[[str], object]) -> None:
    """Any text is read, or refused by ValueError."""
    with suppress(ValueError):
        assert read(text) is not None


def test_files_of_variables_come_in_order(tmp_path: Path) -> None:
    """A later file wins, --env wins over files; one that may be missing begins with a dash."""
    (tmp_path / "one").write_text("A=1\nB=1\nC=1\n")
    (tmp_path / "two").write_text("B=2\nC=2\n")
    command = make_command(["x"], {"env-file": ("one", "-three", "two"), "env": (("C", "3"),)}, str(tmp_path))
    assert command.env is not None
    assert [command.env[name] for name in "ABC"] == ["1", "2", "3"]
    with pytest.raises(UsageError, match="three: no such file"):
        make_command(["x"], {"env-file": ("three",)}, str(tmp_path))
    with pytest.raises(UsageError, match="Is a directory"):
        make_command(["x"], {"env-file": (".",)}, str(tmp_path))
