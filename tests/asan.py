"""Runs the tests with C built under the address and undefined behaviour sanitizers: `make asan`.

    python tests/asan.py [PYTEST ARGUMENT...]

The native module is built a second time, into build/asan, and imported from
there. Python itself is not sanitized, so the sanitizer's library has to be
preloaded; it is for this process alone: the commands that tests run, and the
`lowrun` programs among them, are started without it. The keeper has no libc
to report with: undefined behaviour makes it trap, and the run is lost.

Leaks are not looked for: the interpreter leaves memory behind on purpose.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build" / "asan"
LIBRARY = BUILD / "lib"
SANITIZE = "-fsanitize=address,undefined -fno-sanitize-recover=undefined"
LEFT_OUT = "not slow and not figures"
SECOND = "LOWRUN_SANITIZED"


def build() -> None:
    """Build the package into LIBRARY."""
    flags = {
        "CFLAGS": f"-O1 -g -fno-omit-frame-pointer {SANITIZE}",
        "LDFLAGS": SANITIZE,
        "KEEPER_CFLAGS": "-fsanitize=undefined -fsanitize-undefined-trap-on-error",
    }
    command = [sys.executable, "setup.py", "-q", "build", "--build-base", str(BUILD), "--build-lib", str(LIBRARY)]
    subprocess.run(command, cwd=ROOT, env=os.environ | flags, check=True)


def libraries() -> str:
    """The sanitizers' libraries, as LD_PRELOAD wants them."""
    paths = []
    for name in ("libasan.so", "libubsan.so"):
        asked = subprocess.run(["cc", f"-print-file-name={name}"], capture_output=True, text=True, check=True)
        paths.append(asked.stdout.strip())
    return ":".join(paths)


def run_tests(arguments: list[str]) -> int:
    """In the preloaded process: run the tests, with an environment that has no trace of all this."""
    for name in (SECOND, "LD_PRELOAD", "ASAN_OPTIONS", "UBSAN_OPTIONS"):
        os.environ.pop(name, None)
    sys.path[:1] = [str(LIBRARY), str(ROOT)]
    import pytest

    import lowrun.core.kernel as kernel

    assert kernel.native_directory() == LIBRARY / "lowrun", "the sanitized build is not the one in use"
    # --capture=sys: descriptor 2 stays the caller's, where the sanitizers report.
    options = ["-q", "-m", LEFT_OUT, "-p", "no:cacheprovider", "-p", "no:faulthandler", "--capture=sys"]
    return pytest.main([*options, "--ignore=tests/test_layers.py", *arguments])


def main() -> int:
    if SECOND in os.environ:
        return run_tests(sys.argv[1:])
    build()
    preloaded = {
        "LD_PRELOAD": libraries(),
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        SECOND: "1",
    }
    return subprocess.run([sys.executable, *sys.argv], cwd=ROOT, env=os.environ | preloaded).returncode


if __name__ == "__main__":
    sys.exit(main())
