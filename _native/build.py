"""Describes the extension module `lowrun._native` to cffi (API mode, stable ABI).

One C file per topic; `lowrun.cdef` is what Python sees of them, `lowrun.h`
what they share. Constants come from the compiler ("..." in the cdef).
"""

from pathlib import Path

from cffi import FFI

HERE = Path(__file__).parent
#: What the code that cffi writes cannot be held to.
CFFI_EXCEPTIONS = ["-Wno-unused-parameter", "-Wno-unused-function"]

ffibuilder = FFI()
ffibuilder.cdef((HERE / "lowrun.cdef").read_text())
ffibuilder.set_source(
    "lowrun._native",
    '#include "lowrun.h"\n#include <sys/ptrace.h>\n#include <linux/ptrace.h>\n#include <net/if_arp.h>',
    # Relative to the project's root, where setup.py runs: setuptools wants them so.
    sources=sorted(f"_native/{path.name}" for path in HERE.glob("*.c")),
    depends=sorted(f"_native/{path.relative_to(HERE)}" for path in HERE.rglob("*.h")),
    include_dirs=["_native"],
    extra_compile_args=["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", *CFFI_EXCEPTIONS],
)

if __name__ == "__main__":
    ffibuilder.compile(verbose=True)
