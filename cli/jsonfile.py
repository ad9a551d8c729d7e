"""--json FILE, --html FILE: opened before the work begins, written and named when it is done (outfile.py)."""

from __future__ import annotations

from lowrun.cli.console import STDOUT, write
from lowrun.cli.outfile import OutFile

__all__ = ["JsonFile"]


class JsonFile:
    """Where the text goes that `option` names a file for; raises UsageError when it cannot go there."""

    def __init__(self, name: str, option: str = "--json") -> None:
        self._file = None if name == "-" else OutFile(name, f"{option} {name}")

    def write(self, text: str) -> None:
        """Write it whole; call it once. Raises OSError (ENOSPC...) that names the file."""
        if self._file is None:
            write(STDOUT, text)
            return
        with self._file as file:
            try:
                file.write(text.encode())
            except BrokenPipeError:  # a FIFO whose reader went away
                return
            file.keep()
