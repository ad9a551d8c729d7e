"""Call numbers: what python-ptrace knows of a machine, and what came later.

From 424 on Linux gives a new call the same number on every machine, so one
list serves them all; only x86_64 is tested.

python-ptrace's tables are plain data, but importing them as
`ptrace.syscall.*` runs its package, which loads libc through ctypes (some
40 ms); so they are loaded by file.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib.machinery import PathFinder
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from lowrun.errors import InternalError

__all__ = ["AUDIT_ARCH_X86_64", "CALLS_MAX", "machine_calls", "prototypes"]

AUDIT_ARCH_X86_64 = 0xC000003E
#: Rows of the capture plan; x86_64's numbers from 512 on are x32's own.
CALLS_MAX = 512

#: What python-ptrace lacks or names as nobody else does.
X86_64_ONLY = {166: "umount2", 283: "timerfd_create", 334: "rseq", 335: "uretprobe", 336: "uprobe"}
SINCE_424 = """
    pidfd_send_signal io_uring_setup io_uring_enter io_uring_register open_tree move_mount fsopen fsconfig fsmount
    fspick pidfd_open clone3 close_range openat2 pidfd_getfd faccessat2 process_madvise epoll_pwait2 mount_setattr
    quotactl_fd landlock_create_ruleset landlock_add_rule landlock_restrict_self memfd_secret process_mrelease
    futex_waitv set_mempolicy_home_node cachestat fchmodat2 map_shadow_stack futex_wake futex_wait futex_requeue
    statmount listmount lsm_get_self_attr lsm_set_self_attr lsm_list_modules mseal setxattrat getxattrat listxattrat
    removexattrat open_tree_attr file_getattr file_setattr listns
""".split()


def _load(path: str) -> ModuleType:
    package = PathFinder.find_spec("ptrace")
    if package is None or not package.submodule_search_locations:
        raise InternalError("python-ptrace is not installed")
    file = Path(package.submodule_search_locations[0], path)
    spec = spec_from_file_location("lowrun_ptrace_" + file.stem, file)
    if spec is None or spec.loader is None:
        raise InternalError(f"python-ptrace has no {path}")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@lru_cache(maxsize=4)
def machine_calls(machine: str = "x86_64") -> Mapping[int, str]:
    """Return number -> name for `machine` (as in uname -m)."""
    known: Mapping[int, str] = _load(f"syscall/linux/{machine}.py").SYSCALL_NAMES
    names = {number: name for number, name in known.items() if number < CALLS_MAX}
    if machine == "x86_64":
        names |= X86_64_ONLY
    return names | dict(enumerate(SINCE_424, 424))


@lru_cache(maxsize=1)
def prototypes() -> Mapping[str, tuple[str, tuple[tuple[str, str], ...]]]:
    """Return python-ptrace's name -> (type of the result, ((type, name of the argument), ...))."""
    table: Mapping[str, tuple[str, tuple[tuple[str, str], ...]]] = _load("syscall/prototypes.py").SYSCALL_PROTOTYPES
    return table
