"""What a supervised program starts in: user, groups, directory, variables, limits. Makes its `Command`.

User and group names come from the system's databases (getpwnam(3), getgrouplist(3)). A new user's variables are set as
systemd sets them for User= (systemd.exec(5)): HOME, USER, LOGNAME, SHELL. RLIMIT_NOFILE is the program's own even where
lowrun has raised that of itself (`take_descriptors`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from lowrun import notation
from lowrun.core.procfs import effective_capabilities
from lowrun.errors import UsageError
from lowrun.values import Command

if TYPE_CHECKING:
    from pwd import struct_passwd

__all__ = [
    "Identity", "Running", "identity", "make_command", "most_descriptors", "resource_limit", "running_command",
    "take_descriptors",
]  # fmt: skip

#: Numbers of capabilities (capabilities(7)).
CAP_SETGID, CAP_SETUID = 6, 7
INFINITE = ("infinity", "infinite", "unlimited")


class Identity(NamedTuple):
    """Whose rights a program has; None: lowrun's."""

    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] | None = None
    #: HOME and the like of another user.
    variables: Mapping[str, str] = {}


class Running(NamedTuple):
    """What a process that runs already is."""

    name: str
    argv: tuple[str, ...]


def running_command(pid: int) -> Running:
    """Return name and words of the process `pid` (proc_pid_comm(5), proc_pid_cmdline(5)). Raises UsageError."""
    try:
        with open(f"/proc/{pid}/comm", "rb") as comm, open(f"/proc/{pid}/cmdline", "rb") as cmdline:
            name, words = comm.read().removesuffix(b"\n"), cmdline.read().removesuffix(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        raise UsageError(f"there is no process {pid}") from None
    except OSError as error:
        raise UsageError(f"process {pid}: {error.strerror}") from None
    if not words:
        raise UsageError(f"process {pid} has no command: it is the kernel's own, or has ended")
    return Running(os.fsdecode(name), tuple(os.fsdecode(word) for word in words.split(b"\0")))


def make_command(argv: Sequence[str], given: Mapping[str, Any], directory: str) -> Command:
    """Return the command with what is `given`, by option's name; relative paths are from `directory`.

    Raises UsageError for users that do not exist, files that cannot be read and what only root may ask for.
    """
    who = identity(given.get("user"), given.get("group"), given.get("groups"))
    cwd, chroot = given.get("cwd"), given.get("chroot")
    if cwd is not None and chroot is None:
        cwd = os.path.join(directory, cwd)
    program = argv[0]
    if "/" in program and chroot is None:
        program = os.path.join(directory if cwd is None else cwd, program.removeprefix("./"))
    return Command(
        (program, *argv[1:]),
        env=_variables(given, who, directory),
        cwd=cwd,
        umask=given.get("umask"),
        rlimits=_limits(given.get("limit", ())),
        uid=who.uid,
        gid=who.gid,
        groups=who.groups,
        chroot=None if chroot is None else os.path.join(directory, chroot),
        nice=given.get("nice"),
    )


def identity(user: str | None, group: str | None, groups: Iterable[str] | None) -> Identity:
    """Return the ids of a user, a group and more groups, each a name or a number.

    A user without `group` has the group of its own, without `groups` all that it is a member of (initgroups(3)).
    A group without a user has no others beside. Raises UsageError.
    """
    if user is None and group is None and groups is None:
        return Identity()
    account = None if user is None else _account(user)
    uid = None if user is None else int(user) if account is None else account.pw_uid
    gid = None if account is None else account.pw_gid
    if group is not None:
        gid = _group(group)
    if uid is not None and gid is None:
        raise UsageError(f"there is no user {user}, so its group is not known: give --group, too")
    if groups is not None:
        others = tuple(_group(name) for name in groups)
    elif account is not None and gid is not None:
        others = tuple(os.getgrouplist(account.pw_name, gid))
    else:
        others = ()
    _check_right(uid, gid, others)
    names = {}
    if account is not None:
        shell = account.pw_shell or "/bin/sh"
        names = {"HOME": account.pw_dir, "USER": account.pw_name, "LOGNAME": account.pw_name, "SHELL": shell}
    if (uid, gid) == (os.geteuid(), os.getegid()) and set(others) == set(os.getgroups()):
        return Identity(variables=names)
    return Identity(uid, gid, others, names)


def _account(user: str) -> struct_passwd | None:
    """Return the account of a name or a number; None for a number that has none."""
    import pwd

    try:
        return pwd.getpwuid(int(user)) if _is_id(user) else pwd.getpwnam(user)
    except KeyError:
        if _is_id(user):
            return None
        raise UsageError(f"there is no user {user!r}") from None


def _group(group: str) -> int:
    import grp

    try:
        return int(group) if _is_id(group) else grp.getgrnam(group).gr_gid
    except KeyError:
        raise UsageError(f"there is no group {group!r}") from None


def _is_id(word: str) -> bool:
    """Tell whether `word` is a number; -1 is what setuid(2) takes for "leave it" and so is no id."""
    if not (word.isascii() and word.isdigit()):
        return False
    if len(word) > 10 or int(word) >= 0xFFFFFFFF:
        raise UsageError(f"{word:.40} can be no user's or group's number")
    return True


def _check_right(uid: int | None, gid: int | None, groups: Sequence[int]) -> None:
    """Raise UsageError when lowrun may not give a program these ids."""
    needs = (1 << CAP_SETUID) * (uid not in (None, os.geteuid()))
    if gid not in (None, os.getegid()) or set(groups) != set(os.getgroups()):
        needs |= 1 << CAP_SETGID
    try:
        with open("/proc/self/status") as file:
            held = effective_capabilities(file.read())
    except OSError:
        return  # the kernel tells when the program is started
    if needs & ~held:
        raise UsageError("another user or group needs root's rights (CAP_SETUID, CAP_SETGID): start lowrun as root")


def _variables(given: Mapping[str, Any], who: Identity, directory: str) -> dict[str, str] | None:
    """Return the variables, None for lowrun's own: a later source wins."""
    files, named = given.get("env-file", ()), given.get("env", ())
    if not (files or named or who.variables):
        return None
    variables = {**os.environ, **who.variables}
    for file in files:
        variables.update(_read(os.path.join(directory, file.removeprefix("-")), missing_ok=file.startswith("-")))
    variables.update(named)
    return variables


def _read(path: str, missing_ok: bool) -> dict[str, str]:
    from lowrun.supervise.envfile import parse_env_file

    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return parse_env_file(file.read(), path)
    except FileNotFoundError:
        if missing_ok:
            return {}
        raise UsageError(f"{path}: no such file; begin the name with - where it may be missing") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None


def resource_limit(text: str) -> tuple[int, tuple[int, int]]:
    """Return number and (soft, hard) of NAME=SOFT:HARD or NAME=BOTH (getrlimit(2)). Raises ValueError.

    NAME is nofile or RLIMIT_NOFILE; a limit is a number, of K, M or G, or infinity.
    """
    import resource

    known = {name[7:].lower(): number for name, number in vars(resource).items() if name.startswith("RLIMIT_")}
    known.pop("ofile", None)  # BSD's name of nofile
    name, value = notation.assignment(text)
    plain = name.lower().removeprefix("rlimit_")
    if plain not in known:
        guess = notation.nearest(plain, known)
        raise ValueError(f"there is no limit {name}" + (f"; did you mean {guess}?" if guess else ""))
    soft, _, hard = value.partition(":")
    limits = _limit(soft), _limit(hard or soft)
    if limits[1] != resource.RLIM_INFINITY and not 0 <= limits[0] <= limits[1]:
        raise ValueError("the soft limit is above the hard one")
    return known[plain], limits


def _limit(text: str) -> int:
    import resource

    if text in INFINITE:
        return resource.RLIM_INFINITY
    try:
        return notation.size(text)
    except ValueError:
        raise ValueError("NAME=SOFT:HARD is needed: numbers, or of K, M or G, or infinity") from None


def _limits(given: Iterable[tuple[int, tuple[int, int]]]) -> dict[int, tuple[int, int]]:
    import resource

    return {resource.RLIMIT_NOFILE: resource.getrlimit(resource.RLIMIT_NOFILE), **dict(given)}


def most_descriptors() -> int:
    """Return how many descriptors lowrun, and so a program, can have at most."""
    from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit

    hard = getrlimit(RLIMIT_NOFILE)[1]
    return sys.maxsize if hard == RLIM_INFINITY else hard


def take_descriptors() -> dict[int, tuple[int, int]]:
    """Raise lowrun's own soft limit of descriptors to the hard one; return the limits it had, for programs to have."""
    from resource import RLIMIT_NOFILE, getrlimit, setrlimit

    soft, hard = getrlimit(RLIMIT_NOFILE)
    setrlimit(RLIMIT_NOFILE, (hard, hard))
    return {RLIMIT_NOFILE: (soft, hard)}
