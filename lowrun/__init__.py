"""lowrun runs any Linux command, repeats it, and when it fails has the proof.

    import lowrun as lr
    result = lr.run(["./job"], record=[lr.Output()], timeout=30)
    print(result.status.code, result.usage.max_rss_kib, result.artifacts)

Here are the public names; the wings below hold the code.
"""

import sys

from lowrun import embed as aio
from lowrun import trace
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
from lowrun.recorders.calls import Calls
from lowrun.recorders.output import Output
from lowrun.recorders.packets import Packets
from lowrun.recorders.samples import Samples
from lowrun.runs.recorder import Recorder, RunInfo
from lowrun.runs.repeat import repeat, run
from lowrun.runs.repeater import Repeater
from lowrun.runs.report import result_dict, summary_dict, to_json
from lowrun.trace.hooks import HookedCall
from lowrun.trace.inject import Inject
from lowrun.values import Artifact, Command, ExitStatus, IoUsage, Result, Summary, Usage
from lowrun.version import VERSION as __version__

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
    "ProtocolError",
    "Recorder",
    "Repeater",
    "Result",
    "RunInfo",
    "Samples",
    "SignalInfo",
    "SignalSource",
    "Source",
    "SpawnError",
    "Summary",
    "Timer",
    "UnnamedFile",
    "UnsupportedError",
    "Usage",
    "UsageError",
    "__version__",
    "aio",
    "repeat",
    "result_dict",
    "run",
    "summary_dict",
    "to_json",
    "trace",
]
