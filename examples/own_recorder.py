"""A recorder of one's own: the environment that a failing command was started with.

`start` runs before the command exists and may give it descriptors; `stop`
comes when its whole tree is gone; then exactly one of `keep` and `discard`.
"""

import os
import tempfile
from pathlib import Path

import lowrun as lr


class Environment:
    """Keeps the environment that the command was started with: artifact `environment`."""

    name = "environment"

    def start(self, run: lr.RunInfo, loop: lr.Loop) -> None:
        """Note it before the command's first instruction."""
        self._env = dict(os.environ if run.command.env is None else run.command.env)

    def stop(self) -> None:
        """Nothing was opened, so nothing is closed."""

    def keep(self, into: Path) -> list[lr.Artifact]:
        """Write one line for each variable."""
        path = into / "environment.txt"
        path.write_text("".join(f"{key}={value}\n" for key, value in sorted(self._env.items())))
        return [lr.Artifact("environment", path)]

    def discard(self) -> None:
        """A passing run costs nothing."""


with tempfile.TemporaryDirectory() as directory:
    command = lr.Command(("sh", "-c", "exit $CODE"), env={"CODE": "4", "PATH": os.defpath})
    result = lr.run(command, record=[Environment()], output=Path(directory) / "out")
    print(result.status, "with", result.artifacts["environment"].read_text().split())
