"""Let the third openat of a command fail with ENOSPC: by a rule, and by a function that looks at the path."""

import tempfile
from pathlib import Path

import lowrun as lr


def full(call, process):
    """Called before each openat; `process` is a python-ptrace PtraceProcess of the thread."""
    if call.data[1] == b"/etc/hosts":
        call.skip(error="ENOSPC")


COMMAND = ["cat", "/etc/hosts"]


def main(directory):
    """Keep the calls of two runs below `directory` and show what became of them."""
    rule = lr.Inject("openat", error="ENOSPC", when="3")
    result = lr.run(COMMAND, record=[lr.Calls(inject=[rule])], keep="all", output=directory / "rule", quiet=True)
    calls = result.artifacts["calls"].read_text().splitlines()
    print("by a rule:", *[line.partition(" = ")[2].partition(" <")[0] for line in calls if "openat(" in line][2:3])

    result = lr.run(
        COMMAND, record=[lr.Calls(on_call=full, hook="openat"), lr.Output()], output=directory / "hook", quiet=True
    )
    print("by a hook:", result.status, "-", result.artifacts["stderr"].read_text().strip())


with tempfile.TemporaryDirectory() as scratch:
    main(Path(scratch))
