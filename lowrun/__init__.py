"""lowrun runs any Linux command, repeats it, and when it fails has the proof.

    import lowrun as lr
    result = lr.run(["./job"], record=[lr.Output()], timeout=30)
    print(result.status.code, result.usage.max_rss_kib, result.artifacts)

Here are the public names; the wings below hold the code. Recorders, the tracing of calls and supervision, which many a
program that imports lowrun never asks for, are imported when they are first named: they are more than a third of the
time that an import would take.
"""

import sys
from typing import TYPE_CHECKING, Any

from lowrun import embed as aio
from lowrun.core.fd import UnnamedFile
from lowrun.core.kernel import READ, WRITE
from lowrun.core.loop import ChildSource, IoSource, Loop, SignalInfo, SignalSource, Source, Timer
from lowrun.errors import (
    BusyError,
    ClosedError,
    DeniedError,
    GoneError,
    InternalError,
    LowrunError,
    ProtocolError,
    SpawnError,
    UnsupportedError,
    UsageError,
)
from lowrun.runs.recorder import Recorder, RunInfo
from lowrun.runs.repeat import repeat, run
from lowrun.runs.repeater import Repeater
from lowrun.runs.report import result_dict, summary_dict, to_json
from lowrun.values import Artifact, Command, ExitStatus, IoUsage, Result, Summary, Usage
from lowrun.version import VERSION as __version__

if TYPE_CHECKING:
    from lowrun import analysis, comparison, kept, notation, showing, supervise, trace
    from lowrun.recorders.calls import Calls
    from lowrun.recorders.output import Output
    from lowrun.recorders.packets import Packets
    from lowrun.recorders.samples import Samples
    from lowrun.supervise.settings import Program, Restart
    from lowrun.supervise.supervisor import Supervisor
    from lowrun.trace.hooks import HookedCall
    from lowrun.trace.inject import Inject

# So that `import lowrun.aio` works as well as `lowrun.aio` does.
sys.modules[f"{__name__}.aio"] = aio

__all__ = [
    "READ",
    "WRITE",
    "Artifact",
    "BusyError",
    "Calls",
    "ChildSource",
    "ClosedError",
    "Command",
    "DeniedError",
    "ExitStatus",
    "GoneError",
    "HookedCall",
    "Inject",
    "InternalError",
    "IoSource",
    "IoUsage",
    "Loop",
    "LowrunError",
    "Output",
    "Packets",
    "Program",
    "ProtocolError",
    "Recorder",
    "Repeater",
    "Restart",
    "Result",
    "RunInfo",
    "Samples",
    "SignalInfo",
    "SignalSource",
    "Source",
    "SpawnError",
    "Summary",
    "Supervisor",
    "Timer",
    "UnnamedFile",
    "UnsupportedError",
    "Usage",
    "UsageError",
    "__version__",
    "aio",
    "analysis",
    "comparison",
    "kept",
    "notation",
    "repeat",
    "result_dict",
    "run",
    "showing",
    "summary_dict",
    "supervise",
    "to_json",
    "trace",
]

#: Names that are imported when they are first used, and the modules that have them.
LATER = {
    "Calls": "lowrun.recorders.calls",
    "HookedCall": "lowrun.trace.hooks",
    "Inject": "lowrun.trace.inject",
    "Output": "lowrun.recorders.output",
    "Packets": "lowrun.recorders.packets",
    "Program": "lowrun.supervise.settings",
    "Restart": "lowrun.supervise.settings",
    "Samples": "lowrun.recorders.samples",
    "Supervisor": "lowrun.supervise.supervisor",
}


def __getattr__(name: str) -> Any:
    """Import a name that is not there yet (PEP 562). Raises AttributeError."""
    from importlib import import_module

    if name in ("analysis", "comparison", "kept", "notation", "showing", "supervise", "trace"):
        return import_module(f"lowrun.{name}")
    if name not in LATER:
        raise AttributeError(f"module 'lowrun' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(LATER[name]), name)
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
