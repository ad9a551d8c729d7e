"""Builds the extension module `lowrun._native` (cffi) and the keeper program.

The keeper is a program of its own, without libc, so it is compiled here and
not by cffi. All else about the package is in pyproject.toml.
"""

import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent
HINT = "on Debian and Ubuntu: apt-get install gcc libc6-dev linux-libc-dev python3-dev"
PROBE = "#include <Python.h>\n#include <stdio.h>\n#include <linux/ptrace.h>\n"
KEEPER_FLAGS = [
    "-std=gnu11", "-Os", "-Wall", "-Wextra", "-Werror",
    "-ffreestanding", "-fno-builtin", "-fno-stack-protector", "-fno-pic", "-no-pie",
    "-fno-asynchronous-unwind-tables", "-fomit-frame-pointer",
    "-nostdlib", "-nostartfiles", "-static", "-s",
    "-Wl,--build-id=none", "-Wl,-z,noexecstack", "-Wl,-z,norelro", "-Wl,-z,noseparate-code",
]  # fmt: skip


class BuildNative(build_ext):
    """cffi's build_ext, then the keeper beside the extension module."""

    def run(self) -> None:
        compiler = find_compiler()
        super().run()
        self.build_keeper(compiler)

    def build_keeper(self, compiler: str) -> None:
        package = ROOT / "lowrun" if self.inplace else Path(self.build_lib) / "lowrun"
        package.mkdir(parents=True, exist_ok=True)
        sources = sorted(str(path) for path in (ROOT / "_native" / "keeper").glob("*.c"))
        target = package / "lowrun-keeper"
        extra = shlex.split(os.environ.get("KEEPER_CFLAGS", ""))
        command = [compiler, *KEEPER_FLAGS, *extra, "-o", str(target), *sources]
        print(f"building {target} for {platform.machine()}")
        subprocess.run(command, check=True)
        target.chmod(0o755)


def find_compiler() -> str:
    """Return the C compiler's path, or exit saying what to install."""
    wanted = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    compiler = next((path for name in (wanted, "cc", "gcc", "clang") if (path := shutil.which(name))), None)
    if compiler is None:
        sys.exit(f"lowrun is built with a C compiler, and there is none; {HINT}")
    if shutil.which(wanted) is None:
        os.environ["CC"] = compiler
    command = [compiler, "-fsyntax-only", f"-I{sysconfig.get_path('include')}", "-x", "c", "-"]
    probe = subprocess.run(command, input=PROBE, text=True, capture_output=True)
    if probe.returncode != 0:
        reason = next((line for line in probe.stderr.splitlines() if "error" in line), "the compiler fails")
        sys.exit(f"lowrun is built with Python's and the system's C headers ({reason}); {HINT}")
    return compiler


setup(
    cffi_modules=["_native/build.py:ffibuilder"],
    cmdclass={"build_ext": BuildNative},
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
