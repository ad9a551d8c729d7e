"""Supervision without a place on disk, in a program that embeds lowrun: lines are logged, output is the host's own."""

from __future__ import annotations

from lowrun.core.keepers import Keepers
from lowrun.core.loop import Loop
from lowrun.errors import UsageError
from lowrun.supervise.journal import Journal, LoggerJournal, Syslog
from lowrun.supervise.outputlog import Output, PassedOutput, SyslogOutput
from lowrun.supervise.resources import Resources
from lowrun.supervise.settings import Program

__all__ = ["Hosted"]


class Hosted:
    """A `Place` that is nowhere. Raises UsageError for programs whose settings need a state directory."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._syslog = Syslog()

    def journal(self, program: Program) -> Journal:
        """See Place."""
        return LoggerJournal(program.name)

    def resources(self, program: Program, _keepers: Keepers) -> Resources:
        """See Place."""
        _refuse(program)
        return Resources(program, self._loop, self._output(program))

    def _output(self, program: Program) -> Output:
        if program.output == "syslog":
            return SyslogOutput(self._loop, program.name, self._syslog)
        return PassedOutput()

    def close(self) -> None:
        """Let go of the system's log."""
        self._syslog.close()


def _refuse(program: Program) -> None:
    recording = program.recording
    if program.on_lost == "keep":
        raise UsageError(f"{program.name}: what outlives its supervisor is found in a state directory: give state=")
    if recording.calls or recording.output or recording.samples or recording.packets:
        raise UsageError(f"{program.name}: what is recorded of its lives is kept in a state directory: give state=")
