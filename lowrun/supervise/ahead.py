"""What a running supervisor comes to need, loaded when it begins.

An import opens files. A supervisor that has no descriptor left goes on (its lives fail until it has some), so it may
not come to an import then: a shared object that cannot be opened is an ImportError, which no code there expects. What
begins with a function's `import`, to keep `import lowrun` and short runs quick, is loaded here once; a few KiB each.
What recorders need to write a failure down is not: much of it, rarely used, and a failure that cannot be written down
is said to be lost.
"""

from __future__ import annotations

from importlib import import_module

__all__ = ["load_ahead"]

MODULES = ("fcntl", "json", "socket", "termios")


def load_ahead() -> None:
    """Load it; the second time does nothing."""
    for name in MODULES:
        import_module(name)
