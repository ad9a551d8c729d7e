"""Builds the extension module `lowrun._native` (cffi) and the keeper program.

The keeper is a program of its own, without libc, so it is compiled here and
not by cffi. All else about the package is in pyproject.toml.
"""

import platform
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent
HINT = (
    "lowrun needs a C compiler and Python's headers to be built; on Debian and Ubuntu:\n"
    "    apt-get install gcc make libc6-dev python3-dev"
)
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
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if compiler is None:
            sys.exit(HINT)
        try:
            super().run()
            self.build_keeper(compiler)
        except Exception as error:
            sys.exit(f"{error}\n{HINT}")

    def build_keeper(self, compiler: str) -> None:
        package = ROOT / "lowrun" if self.inplace else Path(self.build_lib) / "lowrun"
        package.mkdir(parents=True, exist_ok=True)
        sources = sorted(str(path) for path in (ROOT / "_native" / "keeper").glob("*.c"))
        target = package / "lowrun-keeper"
        command = [compiler, *KEEPER_FLAGS, "-o", str(target), *sources]
        print(f"building {target} for {platform.machine()}")
        subprocess.run(command, check=True)
        target.chmod(0o755)


setup(
    cffi_modules=["_native/build.py:ffibuilder"],
    cmdclass={"build_ext": BuildNative},
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
