"""Where the state of supervised programs lies, and the truth about a program.

    STATE/NAME/     lock          held by the supervisor as long as it lives; its pid and start time
                    state.json    the last `Record`
                    control log output.log ...

A supervisor can be killed between any two system calls, so a file proves nothing by being there. What proves something
is a lock, which the kernel lets go with its holder, and a process that has the pid and the start time of the record.

The lock is one of an open file description (F_OFD_SETLK, fcntl(2)): unlike a process's it survives the closing of
another descriptor of the file, and unlike flock(2)'s it can be asked for (F_OFD_GETLK) without being taken, so that a
`status` never makes a `start` fail. It is close-on-exec: neither keepers nor programs hold it, but for the moment
between a keeper's clone and its exec, for which `lock` has patience when the holder that it knows of has ended.

Below /tmp files are removed that nobody has touched for some days. systemd-tmpfiles(8) leaves a directory and all in it
alone while somebody has a BSD lock on it (tmpfiles.d(5)): who supervises has a shared one, flock(2), on the descriptors
of both directories.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import stat
import struct
import time
import weakref
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lowrun.core.fd import OwnedFd, write_all
from lowrun.core.lineage import children_of
from lowrun.errors import BusyError, DeniedError, UsageError
from lowrun.supervise.processes import ProcessId, look_at
from lowrun.supervise.record import LastExit, Moment, Record, from_json, to_json
from lowrun.supervise.settings import NAME_RULE, check_name
from lowrun.supervise.truth import Kept, Seen, Truth, judge

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Lock", "ProgramState", "StateDirectory", "boot_id", "now", "state_path"]

#: What a read takes at most; a record has some 500 bytes.
LARGEST_RECORD = 1 << 20
#: Seconds that a lock whose holder has ended may still be held; see above.
PATIENCE, STEP = 1.0, 0.002
#: The record's file is a multiple of this, in bytes: a longer one finds room in it when the disk is full.
BLOCK = 1 << 10
#: Then there is no room for another file.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
#: What the lock's file says: pid and start time, always as long, so that one write replaces it.
HOLDER = b"%-10d %-20d\n"
#: A record that changes while it is compared with /proc is looked at again, so often.
LOOKS = 10


def state_path() -> str:
    """Return where state lies, an absolute path: $LOWRUN_STATE_DIR, from the working directory of now if it is
    relative, else /run/lowrun for root, else $XDG_RUNTIME_DIR/lowrun, else /tmp/lowrun-UID. An empty variable counts
    for nothing, nor does an XDG_RUNTIME_DIR that is relative (XDG Base Directory Specification).
    """
    given = os.environ.get("LOWRUN_STATE_DIR", "")
    if given:
        return os.path.abspath(given)
    if os.geteuid() == 0:
        return "/run/lowrun"
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    return os.path.join(runtime, "lowrun") if os.path.isabs(runtime) else f"/tmp/lowrun-{os.geteuid()}"


def now() -> Moment:
    """Return this moment."""
    return Moment(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME))


@functools.cache
def boot_id() -> str:
    """Return what tells this boot from all others (random(4))."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def _open_private(path: str, name: str, parent: int) -> OwnedFd:
    """Open the directory `name` in `parent`, which has to be ours alone; `path` is for messages.

    Raises FileNotFoundError; DeniedError when it is a link, no directory, another's, or open to others.
    """
    try:
        directory = OwnedFd(os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent))
    except NotADirectoryError as error:
        raise DeniedError(f"{path} is no directory, or a symbolic link; set LOWRUN_STATE_DIR to another") from error
    except PermissionError as error:
        raise DeniedError(f"{path} cannot be read; set LOWRUN_STATE_DIR to a directory of yours") from error
    status = os.fstat(directory.fileno())
    if status.st_uid != os.geteuid():
        directory.close()
        who = f"uid {status.st_uid}, not to you (uid {os.geteuid()})"
        raise DeniedError(f"{path} belongs to {who}; set LOWRUN_STATE_DIR to another")
    if stat.S_IMODE(status.st_mode) & 0o077:
        directory.close()
        raise DeniedError(f"{path} is open to other users (mode {stat.S_IMODE(status.st_mode):o}); chmod 700 {path}")
    return directory


def _make_private(path: str, name: str, parent: int) -> OwnedFd:
    """The same, made when needed, and not removed for its age while it is open."""
    while True:
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            pass
        except OSError as error:
            text = f"{path} cannot be made: {error.strerror}; set LOWRUN_STATE_DIR to another"
            raise DeniedError(text) from error
        try:
            directory = _open_private(path, name, parent)
        except FileNotFoundError:
            continue
        _keep_from_ageing(directory)
        if os.fstat(directory.fileno()).st_nlink:
            return directory
        directory.close()  # it was removed before the lock was ours


def _keep_from_ageing(directory: OwnedFd) -> None:
    """See the module; where the file system has no such locks there is no such protection."""
    import fcntl

    with contextlib.suppress(OSError):
        fcntl.flock(directory.fileno(), fcntl.LOCK_SH)


class StateDirectory:
    """The directory of all programs' state; a context manager."""

    def __init__(self, path: str, directory: OwnedFd) -> None:
        self.path = path
        self._directory = directory

    @classmethod
    def open(cls, create: bool = False, path: str | os.PathLike[str] | None = None) -> StateDirectory:
        """Open it, made when needed with `create`; else a missing one is an empty one. Without `path` it is where
        `state_path` says. Raises DeniedError.
        """
        path = state_path() if path is None else os.path.abspath(path)
        above, name = os.path.split(path)
        if create:
            try:
                os.makedirs(above, exist_ok=True)
            except OSError as error:
                text = f"{above} cannot be made: {error.strerror}; set LOWRUN_STATE_DIR to another directory"
                raise DeniedError(text) from error
        try:
            with OwnedFd(os.open(above, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as parent:
                opener = _make_private if create else _open_private
                return cls(path, opener(path, name, parent.fileno()))
        except (FileNotFoundError, NotADirectoryError):
            return cls(path, OwnedFd(-1))

    def names(self) -> list[str]:
        """Return the names of all programs that have state, running or not; sorted."""
        if self._directory.closed:
            return []
        with os.scandir(self._directory.fileno()) as entries:
            found = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        return sorted(name for name in found if NAME_RULE.fullmatch(name))

    def program(self, name: str) -> ProgramState:
        """Return the state of `name`, made when needed: for who supervises it. Raises UsageError, DeniedError."""
        check_name(name)
        if self._directory.closed:
            raise UsageError(f'no program "{name}" is known: {self.path} does not exist')
        path = os.path.join(self.path, name)
        return ProgramState(name, path, _make_private(path, name, self._directory.fileno()))

    def find(self, name: str) -> ProgramState | None:
        """Return the state of `name`, None when it has none. Raises UsageError, DeniedError."""
        check_name(name)
        if self._directory.closed:
            return None
        path = os.path.join(self.path, name)
        try:
            return ProgramState(name, path, _open_private(path, name, self._directory.fileno()))
        except FileNotFoundError:
            return None

    def close(self) -> None:
        """Close it; states of programs that it gave stay open."""
        self._directory.close()

    def __enter__(self) -> StateDirectory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Lock(OwnedFd):
    """A program's lock, held until it is closed or this process ends. A process forked from this one has no part in it,
    so a supervisor that daemonizes takes it afterwards.
    """

    __slots__ = ("__weakref__",)

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        _locks.add(self)


_locks: weakref.WeakSet[Lock] = weakref.WeakSet()


def _close_after_fork() -> None:
    """In a forked child an inherited lock would outlive its holder."""
    for lock in list(_locks):
        lock.close()


os.register_at_fork(after_in_child=_close_after_fork)

#: struct flock (fcntl(2)): type, whence, start, length, pid; the whole file.
FLOCK = struct.Struct("hhqqi4x")


def _take(fd: int) -> bool:
    import fcntl

    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    except (BlockingIOError, PermissionError):
        return False
    return True


def _is_held(fd: int) -> bool:
    import fcntl

    asked = FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    return bool(FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_OFD_GETLK, asked))[0] != fcntl.F_UNLCK)


def _padded(text: bytes) -> bytes:
    """Return the text of a record with blanks behind it."""
    return text + b" " * (-len(text) % BLOCK)


class ProgramState:
    """What lies in STATE/NAME; a context manager. Only who holds the lock writes."""

    __slots__ = ("name", "path", "_directory")

    def __init__(self, name: str, path: str, directory: OwnedFd) -> None:
        self.name = name
        self.path = path
        self._directory = directory

    def fileno(self) -> int:
        """Return the directory's descriptor."""
        return self._directory.fileno()

    def open(self, name: str, flags: int) -> OwnedFd:
        """Open a file in it (0600), never through a symbolic link. Raises OSError."""
        return OwnedFd(os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=self.fileno()))

    def _read_file(self, name: str) -> bytes | None:
        try:
            with self.open(name, os.O_RDONLY | os.O_NONBLOCK) as file:
                return os.read(file.fileno(), LARGEST_RECORD)
        except OSError:
            return None

    @property
    def door(self) -> Path:
        """The socket at which a keeper waits that has outlived its lowrun (core/door.py)."""
        return Path(self.path, "keeper")

    # -- the lock

    def lock(self) -> Lock:
        """Take the lock. Raises BusyError when another supervisor has it; OSError."""
        lock = Lock(self.open("lock", os.O_RDWR | os.O_CREAT).release())
        try:
            due = time.monotonic() + PATIENCE
            while not _take(lock.fileno()):
                holder = self._holder()
                if (holder is not None and holder.alive) or time.monotonic() > due:
                    who = "" if holder is None else f" (pid {holder.pid})"
                    remedy = f"lowrun restart {self.name} starts it anew"
                    raise BusyError(f'another supervisor of "{self.name}" is running{who}; {remedy}')
                time.sleep(STEP)
            me = ProcessId.of(os.getpid())
            assert me is not None, "this process lives"
            self._write_holder(lock, me)
        except BaseException:
            lock.close()
            raise
        return lock

    def _write_holder(self, lock: Lock, holder: ProcessId) -> None:
        try:
            os.pwrite(lock.fileno(), HOLDER % holder, 0)
        except OSError as error:
            raise self._unwritable(error) from error

    def _holder(self) -> ProcessId | None:
        """Who has the lock, or had it last."""
        try:
            pid, start = (self._read_file("lock") or b"").split()
            return ProcessId(int(pid), int(start))
        except ValueError:
            return None

    def supervisor(self) -> ProcessId | None:
        """Return the supervisor that lives and has the lock, None without one."""
        try:
            with self.open("lock", os.O_RDONLY) as lock:
                held = _is_held(lock.fileno())
        except OSError:
            return None
        holder = self._holder() if held else None
        return holder if holder is not None and holder.alive else None

    # -- the record

    def write(self, record: Record) -> None:
        """Put `record` in the place of the last one, whole or not at all. Raises OSError.

        On a full disk it overwrites the last one, if there is room in its file: that takes no new block. Who reads it
        meanwhile finds no record, or one that is another a moment later.
        """
        text = _padded(to_json(replace(record, boot_id=boot_id())))
        try:
            self._replace(text)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            self._overwrite(text)

    def _replace(self, text: bytes) -> None:
        try:
            with self.open(".state.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as file:
                write_all(file.fileno(), text)
            os.rename(".state.json", "state.json", src_dir_fd=self.fileno(), dst_dir_fd=self.fileno())
        except OSError:
            try:
                os.unlink(".state.json", dir_fd=self.fileno())
            except OSError:
                pass
            raise

    def _overwrite(self, text: bytes) -> None:
        with self.open("state.json", os.O_WRONLY) as file:
            os.posix_fallocate(file.fileno(), 0, len(text))
            size = os.fstat(file.fileno()).st_size
            os.pwrite(file.fileno(), text.ljust(size), 0)

    def reserve(self, record: Record) -> None:
        """See to it that records like `record` can be written when the disk is full; the last one stays.

        Raises OSError that says what to do.
        """
        wanted = len(_padded(to_json(replace(record, boot_id=boot_id())))) + BLOCK
        try:
            with self.open("state.json", os.O_WRONLY | os.O_CREAT | os.O_APPEND) as file:
                write_all(file.fileno(), b" " * (wanted - os.fstat(file.fileno()).st_size))
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> OSError:
        what = f"its state cannot be written: {error.strerror}"
        return OSError(error.errno, f"{what}; free some space or set LOWRUN_STATE_DIR to another directory", self.path)

    def read(self) -> Record | None:
        """Return the last record; None when there is none that can be understood."""
        text = self._read_file("state.json")
        return None if text is None else from_json(text)

    def truth(self) -> Truth:
        """Return what is so: the record, compared with the lock and with the processes there are."""
        for _ in range(LOOKS):
            text = self._read_file("state.json")
            record = None if text is None else from_json(text)
            truth = judge(self.name, self._see(record))
            is_half = record is None and text is not None  # it is being overwritten, or garbage
            if not is_half and self._read_file("state.json") == text:
                break
        return truth

    def _see(self, record: Record | None) -> Seen:
        keeper, main = (None, None) if record is None else (record.keeper, record.main)
        children = children_of(keeper.pid) if keeper is not None and keeper.alive else []
        supervisor = self.supervisor()
        return Seen(
            record,
            supervisor,
            boot_id(),
            main is not None and main.alive,
            tuple(pid for pid, _ in children if look_at(pid) is not None),
            now(),
            self._kept() if supervisor is None else None,
        )

    def _kept(self) -> Kept | None:
        """What the keeper says that has outlived its lowrun, if one has; it may know of a life that nobody wrote of."""
        if not self.door.exists():
            return None
        from lowrun.core.door import query

        try:
            tree = query(self.door)
        except OSError:  # BusyError: it does not answer
            return None
        if tree is None:
            return None
        here, monotonic = now(), time.monotonic()
        ended = None
        if tree.status is not None:
            ended = LastExit(tree.status.code, tree.status.signal, here.wall - (monotonic - tree.ended_ns / 1e9))
        since = monotonic - tree.started_ns / 1e9
        return Kept(tree.pid, Moment(here.wall - since, here.boot - since), ended, tree.gone)

    def close(self) -> None:
        """Close the directory; the second time does nothing."""
        self._directory.close()

    def __enter__(self) -> ProgramState:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
