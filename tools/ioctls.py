"""Writes lowrun/trace/ioctl_names.py: the name of each ioctl(2) command that the kernel's headers define.

    python tools/ioctls.py [--check]

The headers are those of linux-libc-dev (and what else lies in /usr/include
below the same directories). A macro is a command when its text is made with
_IO, _IOR, _IOW, _IOWR or _IOC, directly or by another macro, or when it
stands in a header whose commands are plain numbers. The compiler says its
value. Where several commands have one number, all are named, as strace does.
`--check` only says what differs from the module.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

INCLUDE = Path("/usr/include")
DIRECTORIES = (
    "linux",
    "asm-generic",
    "x86_64-linux-gnu/asm",
    "sound",
    "drm",
    "rdma",
    "mtd",
    "video",
    "misc",
    "scsi",
    "xen",
)
TARGET = Path(__file__).parent.parent / "lowrun" / "trace" / "ioctl_names.py"
#: Headers with plain numbers: what its commands are called.
PLAIN = {
    "asm-generic/ioctls.h": r"TC\w+|TIO\w+|FIO\w+",
    "asm-generic/sockios.h": r"SIOC\w+|FIO\w+",
    "linux/sockios.h": r"SIOC(?!PROTOPRIVATE|DEVPRIVATE)\w+",
    "linux/hdreg.h": r"HDIO_(?!DRIVE_HOB)\w+",
    "linux/cdrom.h": r"CDROM(?!\w*_MAX)\w+|DVD_(READ_STRUCT|WRITE_STRUCT|AUTH)",
    "linux/loop.h": r"LOOP_\w+",
    "linux/kd.h": r"K[A-Z]+\w*|GIO_\w+|PIO_\w+",
    "linux/vt.h": r"VT_(OPENQRY|[GS]ETMODE|GETSTATE|SENDSIG|RELDISP|ACTIVATE|WAITACTIVE|DISALLOCATE|RESIZE\w*|LOCK\w*"
    r"|UNLOCK\w*|GETHIFONTMASK|WAITEVENT|SETACTIVATE)",
    "linux/wireless.h": r"SIOC[SG]IW\w+|SIOCIWLASTPRIV|SIOCIWFIRSTPRIV",
    "linux/ppp_defs.h": r"PPPIOC\w+",
    "scsi/sg.h": r"SG_(GET|SET|EMULATED|SCSI|IO|NEXT)\w*",
    "scsi/scsi_ioctl.h": r"SCSI_IOCTL_\w+",
    "linux/raid/md_u.h": r"[A-Z_]+",
    "linux/nbd.h": r"NBD_[A-Z_]+",
    "linux/fs.h": r"FIBMAP|FIGETBSZ",
    "linux/fb.h": r"FBIO[A-Z_0-9]+",
    "linux/sonypi.h": r"SONYPI_IOC\w+",
}
#: Made with _IOC and yet no commands.
NO_COMMAND = re.compile(
    r"_\w*|\w*_IOC?_?(BASE|TYPE|MAGIC)|IOC_(IN|OUT|INOUT)|IOCSIZE\w*|\w+_MAXNR|NBD_\w+_MAGIC|RFKILL_IOCTL_MAX_SIZE"
)
#: Other names of commands that strace does not use, and commands of other machines.
NOT_SAID = re.compile(
    r"SOUND_(MIXER|PCM)_\w+|CDROM_GET_UPC|TIOCINQ|SIOCGSTAMP(NS)?|KVM_(S390|PPC|ARM)_\w+|FD(SET|DEF|GET)MEDIAPRM"
    r"|DMA_BUF_SET_NAME|SNDRV_TIMER_IOCTL_TREAD|VIDIOC_SUBDEV_[SG]_STD|HDIO_DRIVE_CMD_AEB|NBD_(CMD_)?FLAG_\w+"
    r"|HDIO_\w+_HDR_SIZE"
)
SMALL = re.compile(r"FIBMAP|FIGETBSZ")
MADE = re.compile(r"\b_IO(R|W|WR|C)?(_BAD)?\b")
COMPILE = ["gcc", "-w", "-D_GNU_SOURCE", "-D__EXPORTED_HEADERS__", "-x", "c", "-"]
PRELUDE = "".join(
    f"#include <{name}>\n"
    for name in "stddef.h stdint.h time.h sys/types.h sys/socket.h linux/types.h linux/fiemap.h linux/ioctl.h".split()
)


def compiled(text: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the compiler on `text`."""
    return subprocess.run([*COMPILE, *options], input=text, capture_output=True, text=True)


def candidates(header: str) -> set[str]:
    """Return the names in `header` that look like commands."""
    own = set(
        re.findall(
            r"^[ \t]*#[ \t]*define[ \t]+([A-Za-z_]\w*)(?=\s)(?!\()",
            (INCLUDE / header).read_text(errors="replace"),
            re.M,
        )
    )
    dump = compiled(f"{PRELUDE}#include <{include_name(header)}>\n", "-E", "-dM").stdout
    texts = dict(re.findall(r"^#define (\w+)(?:\([^)]*\))? (.*)$", dump, re.M))

    def made(text: str, depth: int = 0) -> bool:
        if MADE.search(text):
            return True
        words = re.findall(r"[A-Za-z_]\w*", text)
        return depth < 3 and any(made(texts[word], depth + 1) for word in words if word in texts and word.isupper())

    found = {name for name in own if name in texts and made(texts[name])}
    if header in PLAIN:
        found |= {name for name in own if re.fullmatch(PLAIN[header], name)}
    return {name for name in found if not NO_COMMAND.fullmatch(name) and not NOT_SAID.fullmatch(name)}


def include_name(header: str) -> str:
    """Return what stands between the brackets of #include."""
    return header.removeprefix("x86_64-linux-gnu/")


def values(header: str, names: set[str]) -> dict[str, int]:
    """Return name -> number, for those that are constants."""
    left = sorted(names)
    while left:
        lines = [f"{PRELUDE}#include <stdio.h>\n#include <{include_name(header)}>\nint main(void) {{"]
        lines += [f'printf("{name} %llu\\n", (unsigned long long) ({name}));' for name in left]
        text = "\n".join([*lines, "return 0; }"])
        with tempfile.TemporaryDirectory() as directory:
            done = compiled(text, "-fmax-errors=0", "-o", f"{directory}/a")
            if done.returncode == 0:
                output = subprocess.run([f"{directory}/a"], capture_output=True, text=True).stdout
                return {name: int(value) for name, value in (line.split() for line in output.splitlines())}
        rows = text.splitlines()
        bad = {int(number) for number in re.findall(r"^<stdin>:(\d+):\d+: error", done.stderr, re.M)}
        wrong = {match[1] for row in bad if (match := re.match(r'printf\("(\w+) ', rows[row - 1]))}
        if not wrong:
            return {}
        left = [name for name in left if name not in wrong]
    return {}


def collected() -> dict[int, set[str]]:
    """Return number -> names."""
    found: dict[int, set[str]] = {}
    for directory in DIRECTORIES:
        for path in sorted((INCLUDE / directory).rglob("*.h")):
            header = str(path.relative_to(INCLUDE))
            names = candidates(header)
            for name, value in values(header, names).items() if names else ():
                # Small numbers are what other macros of the plain headers have; these few are commands.
                if 0xFF < value < 1 << 32 or SMALL.fullmatch(name):
                    found.setdefault(value, set()).add(name)
    return found


def module(found: dict[int, set[str]]) -> str:
    """Return the module's text."""
    words = [f"{number:x} {'|'.join(sorted(names))}" for number, names in sorted(found.items())]
    lines: list[str] = []
    line = ""
    for word in words:
        if line and len(line) + len(word) > 118:
            lines.append(line)
            line = ""
        line += (";" if line else "") + word
    body = "\n".join([*lines, line])
    return (
        '"""The names of ioctl(2) commands: `number name|name;...`, numbers in hexadecimal; by tools/ioctls.py."""\n\n'
        f'__all__ = ["IOCTL_NAMES"]\n\nIOCTL_NAMES = """\n{body}\n"""\n'
    )


def main() -> int:
    """The program."""
    text = module(collected())
    if "--check" in sys.argv[1:]:
        return int(text != TARGET.read_text())
    TARGET.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
