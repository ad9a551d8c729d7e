"""python-ptrace, loaded so that a host does not feel it.

Its module `ptrace.ctypes_libc` asks ctypes.util.find_library where libc is, which runs ldconfig: a child of the host,
which the host's own waitpid(-1) may meet, and most of the time that the loading takes. libc is in this process, so
that module is made here.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from types import ModuleType
from typing import Any

from lowrun.errors import UnsupportedError, UsageError

__all__ = ["check_engine", "load"]

_LIBC = "ptrace.ctypes_libc"


def load(what: str) -> Any:
    """Return the module `ptrace.debugger`. Raises UnsupportedError, which says that `what` needs it."""
    if _LIBC not in sys.modules:
        from ctypes import CDLL

        libc: Any = ModuleType(_LIBC)
        libc.libc, libc.LIBC_FILENAME = CDLL(None, use_errno=True), None
        sys.modules[_LIBC] = libc
    try:
        import ptrace.debugger
    except ImportError as error:
        raise UnsupportedError(f"{what} python-ptrace, which is not there: {error}") from error
    return ptrace.debugger


def check_engine(injections: Collection[object]) -> None:
    """Raise what keeps the python engine from a trace with `injections`: UsageError, UnsupportedError."""
    if injections:
        raise UsageError("the python engine injects nothing; use hooks, or the engine ptrace")
    load("the python engine needs")
