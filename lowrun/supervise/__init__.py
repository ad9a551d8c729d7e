"""A program kept running: a run times a policy. Policy is a pure table; what waits is one loop's.

The names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowrun.later import importer

if TYPE_CHECKING:
    from lowrun.supervise.attached import check_attached
    from lowrun.supervise.config import load
    from lowrun.supervise.control import ask
    from lowrun.supervise.environment import running_command, take_descriptors
    from lowrun.supervise.failures import failures_path, kept_failures
    from lowrun.supervise.journal import LOG_NAMES, Syslog
    from lowrun.supervise.lost import end_lost
    from lowrun.supervise.meaning import LastExit
    from lowrun.supervise.options import SETTINGS, make_program, unheeded
    from lowrun.supervise.order import start_order
    from lowrun.supervise.outputlog import output_names
    from lowrun.supervise.policy import Phase
    from lowrun.supervise.processes import ProcessId, figures_of_tree
    from lowrun.supervise.program import Supervised
    from lowrun.supervise.reading import Follower, tail
    from lowrun.supervise.record import Record
    from lowrun.supervise.recording import check_recording
    from lowrun.supervise.service import Service
    from lowrun.supervise.settings import Limits, Program, Recording, Restart, StartLimit, check_name
    from lowrun.supervise.state import ProgramState, StateDirectory, state_path
    from lowrun.supervise.supervisor import Supervisor
    from lowrun.supervise.truth import Truth

__all__ = [
    "output_names",
    "tail",
    "Follower",
    "ProcessId",
    "LOG_NAMES",
    "LastExit",
    "Phase",
    "end_lost",
    "figures_of_tree",
    "ask",
    "Truth",
    "Supervisor",
    "Supervised",
    "ProgramState",
    "StateDirectory",
    "Service",
    "SETTINGS",
    "Limits",
    "Program",
    "Record",
    "Recording",
    "Restart",
    "StartLimit",
    "check_attached",
    "check_name",
    "check_recording",
    "failures_path",
    "kept_failures",
    "load",
    "make_program",
    "running_command",
    "start_order",
    "state_path",
    "take_descriptors",
    "unheeded",
    "Syslog",
]

#: Name -> module.
__getattr__ = importer(
    __name__,
    {
        "output_names": "outputlog",
        "tail": "reading",
        "Follower": "reading",
        "ProcessId": "processes",
        "LOG_NAMES": "journal",
        "Phase": "policy",
        "end_lost": "lost",
        "figures_of_tree": "processes",
        "ask": "control",
        "Truth": "truth",
        "Supervisor": "supervisor",
        "LastExit": "meaning",
        "Supervised": "program",
        "ProgramState": "state",
        "StateDirectory": "state",
        "Service": "service",
        "SETTINGS": "options",
        "Limits": "settings",
        "Program": "settings",
        "Record": "record",
        "Recording": "settings",
        "Restart": "settings",
        "StartLimit": "settings",
        "check_attached": "attached",
        "check_name": "settings",
        "check_recording": "recording",
        "failures_path": "failures",
        "kept_failures": "failures",
        "load": "config",
        "make_program": "options",
        "running_command": "environment",
        "start_order": "order",
        "state_path": "state",
        "take_descriptors": "environment",
        "unheeded": "options",
        "Syslog": "journal",
    },
)
