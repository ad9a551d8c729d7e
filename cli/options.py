"""The options of a run: the table that is read, explained and completed from, and the values it makes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lowrun import notation
from lowrun.cli.parser import Option, Parsed, parse

__all__ = ["RUN_OPTIONS", "Options", "help_text", "read"]


class Options(NamedTuple):
    """What the user asked for; the field's name is its row's in RUN_OPTIONS."""

    runs: int = 1
    failed_count: int | None = None
    sys_trace: bool = False
    call_trace: bool = False
    log_trace: bool = False
    net_trace: bool = False
    debug: bool = False
    timeout: float | None = None
    kill_after: float = 2.0
    success: tuple[int, ...] = (0,)
    jobs: int = 1
    warmup: int = 0
    prepare: tuple[str, ...] | None = None
    input: str | None = None
    output: str | None = None
    keep: str = "failed"
    json: str | None = None
    quiet: bool = False
    engine: str = "auto"
    calls: str | None = None
    keep_binary: bool = False
    interval: float | None = None
    interfaces: tuple[str, ...] = ()
    net_filter: str | None = None
    network: str = "host"
    ring_size: int | None = None
    snaplen: int | None = None
    help: bool = False
    version: bool = False
    completion: str | None = None


def _timeout(text: str) -> float | None:
    """0 is no limit, as timeout(1) has it."""
    return notation.seconds(text) or None


def _engine(text: str) -> str:
    if text == "bpf":
        raise ValueError("not in this version yet")
    return notation.one_of("auto", "ptrace", "python")(text)


_path = notation.some("a path")

RUN_OPTIONS = (
    Option("runs", ("-c", "--count"), "run COMMAND N times (default 1)", "N", notation.count),
    Option("failed_count", ("-fc", "--failed-count"), "give up as soon as N runs have failed", "N", notation.count),
    Option("sys_trace", ("-st", "--sys-trace"), "keep disk, memory, process and network figures of each failed run"),
    Option("call_trace", ("-ct", "--call-trace"), "keep every system call of each failed run"),
    Option("log_trace", ("-lt", "--log-trace"), "keep stdout and stderr of each failed run"),
    Option("net_trace", ("-nt", "--net-trace"), "keep the packets of each failed run"),
    Option("timeout", ("-t", "--timeout"), "end a run that takes longer: it failed, code 124", "SEC", _timeout),
    Option("kill_after", ("--kill-after",), "SIGKILL that long after a timeout's SIGTERM (default 2)", "SEC",
           notation.seconds),
    Option("success", ("-e", "--success-exit-status"), "codes that count as success (default 0)", "LIST",
           notation.codes),
    Option("jobs", ("-j", "--jobs"), "N runs at a time", "N", notation.count),
    Option("warmup", ("--warmup",), "N runs first that do not count", "N", notation.whole),
    Option("prepare", ("--prepare",), "run CMD before each run", "CMD", notation.words),
    Option("input", ("--input",), "stdin of each run", "FILE", _path),
    Option("output", ("-o", "--output"), "where to keep what failed (default lowrun-COMMAND-TIME)", "DIR", _path),
    Option("keep", ("--keep",), "runs to keep: failed, failed+1 (and one that passed), all or none", "WHICH",
           notation.one_of("failed", "failed+1", "all", "none")),
    Option("json", ("--json",), "write the summary as JSON; - is standard output, without COMMAND's", "FILE", _path),
    Option("quiet", ("-q", "--quiet"), "do not show COMMAND's output"),
    Option("engine", ("--engine",), "how calls are traced: auto, ptrace or python (default auto)", "ENGINE", _engine),
    Option("calls", ("--calls",), "trace these only: names, %file %process ..., ! negates", "SET"),
    Option("keep_binary", ("--keep-binary",), "with -ct: keep the binary records, too"),
    Option("interval", ("--interval",), "with -st: time between samples (default 0.1)", "SEC", notation.seconds),
    Option("interfaces", ("-i", "--net-interface"), "with -nt: here only; can be given again", "IFACE",
           notation.some("an interface"), many=True),
    Option("net_filter", ("--net-filter",), "with -nt: these packets only (pcap-filter(7))", "EXPR"),
    Option("network", ("--net",), "with -nt: host, or rootless (COMMAND gets its own)", "WHICH",
           notation.one_of("host", "rootless")),
    Option("ring_size", ("--net-ring-size",), "with -nt: the kernel's room for an interface's packets (32M)", "SIZE",
           notation.size),
    Option("snaplen", ("--snaplen",), "with -nt: keep that many bytes of a packet (default all)", "BYTES",
           notation.count),
    Option("debug", ("-d", "--debug"), "log each step lowrun itself takes"),
    Option("help", ("-h", "--help"), "print this"),
    Option("version", ("--version",), "print the version"),
    Option("completion", ("--completion",), "print a completion script: bash, zsh or fish", "SHELL",
           notation.one_of("bash", "zsh", "fish")),
)  # fmt: skip


def read(words: Sequence[str]) -> tuple[Options, Parsed]:
    """Return the options at the beginning of `words`, and with them what was read.

    Raises UsageError with one line that says what is wrong.
    """
    parsed = parse(RUN_OPTIONS, words)
    return Options(**parsed.values), parsed


HEAD = """\
usage: lowrun [OPTIONS] [--] COMMAND [ARG...]
       lowrun run [OPTIONS] [--] COMMAND [ARG...]
       lowrun trace ...                            see the system calls of a command
       lowrun show DIR [RUN]                       why a run failed that was kept in DIR
       lowrun analyze diff DIR                     what failing runs did that passing ones did not
       lowrun analyze FILE QUERY                   questions about a log of calls
       lowrun strace2csv LOG                       a log of calls as CSV
       lowrun start ...                            keep a program running
       lowrun stop | status | restart | reload | log | wait ...
                                                   (each has its own --help)

Run COMMAND, or repeat it, and keep what its failing runs did.

options:
"""

TAIL = """
examples:
  lowrun -c 100 -fc 1 -ct -lt ./test      until it fails; its system calls and output
  lowrun -c 30 -ct --keep failed+1 ./test what failing runs did that a passing one did not
  lowrun -c 20 -j 4 -q make check         20 runs, 4 at a time
  lowrun -t 5 -e 0,3 -- ./server --once   at most 5 s; 0 and 3 are good
  lowrun -c 10 --json - ./job | jq .codes

exit: the most frequent code of the runs; 128+N killed by signal N, 124 timed out,
      126 not executable, 127 not found, 2 wrong usage, 125 lowrun itself failed
"""


def help_text() -> str:
    """Return what --help prints."""
    from lowrun.cli.help import option_lines

    return HEAD + option_lines(RUN_OPTIONS) + TAIL
