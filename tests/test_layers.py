"""Who may import whom, proved from the source: docs/architecture.md shows the same house.

An import counts wherever it stands, in a function too; only one below
`if TYPE_CHECKING:` does not, since it names a type and runs nothing.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LIBRARY = ROOT / "lowrun"
CLI = ROOT / "cli"

#: The one table: floor -> (wing, its modules, bottom first). The wing "" is lowrun/ itself.
HOUSE: list[tuple[str, str]] = [
    ("", "version later errors steps values notation"),
    (
        "core",
        "kernel fd tape pump timers loop inotify procfs lineage cgroup_v1 cgroup launch door events keeper keepers "
        "exits process watch tracing sampling packets logs",
    ),
    (
        "trace",
        "arch layouts grammar sets sizes plan names_process names_files names_net names_netlink names_netfilter "
        "constants rows rows_variants rows_ioctl rows_i386 table ioctl_names quoting records context signals netlink "
        "netlink_route netlink_diag netlink_more netlink_families sockets structs messages scalars layout reading "
        "sockopts memory_process memory ioctls special results pointers decode naming descriptors follow calls text "
        "event pathrows logfile parse loglines textfile terminal counts select ptracelib inject hooks pycapture "
        "pynames pyloop pyengine denial tracer live",
    ),
    ("samples", "records series chart tables machine files"),
    ("packets", "netfilter denial namespaces pasta pcapng interfaces capture"),
    ("runs", "recorder observers slices report directory keeping usage exits accounting network run repeater repeat"),
    ("recorders", "output calls samples packets"),
    ("kept", "directory tails calltext family noise timeline frames packets dns hosts capturefile sampletable peaks"),
    (
        "analysis",
        "questions answer table schema peers views engine source queries render slices chrome protobuf perfetto "
        "export session",
    ),
    (
        "comparison",
        "difference normal lexicon trail meaning align evidence ranking explain report capturefacts figures sides",
    ),
    ("showing", "laststeps blame words stories screen storydict markup page"),
    (
        "supervise",
        "settings requests policy meaning order envfile environment listening readyspec options config processes "
        "record truth state journal reading outputlog failures recording control pidfile succession mainprocess "
        "sockets notify watchdog readiness resources lost deadline hooks life attached program ahead group hosted "
        "service supervisor",
    ),
    ("", "embed __init__"),
]
#: In these wings no module imports another.
STRANGERS = {"recorders"}
#: Bytes or values in, bytes or values out: no clock, process or descriptor.
PURE = (
    "version errors values core.procfs trace.layouts trace.grammar trace.sets trace.sizes trace.plan "
    "trace.names_process trace.names_files trace.names_net trace.names_netlink trace.names_netfilter trace.constants "
    "trace.rows trace.rows_variants trace.rows_ioctl trace.rows_i386 trace.table trace.ioctl_names trace.quoting "
    "trace.records trace.context trace.signals trace.netlink_route trace.netlink_diag trace.netlink_more trace.sockets "
    "trace.structs trace.messages trace.scalars trace.layout trace.reading trace.sockopts trace.memory_process "
    "trace.memory trace.ioctls trace.special trace.results trace.pointers trace.decode trace.naming trace.descriptors "
    "trace.text trace.event trace.loglines trace.inject trace.pycapture samples.records samples.series samples.chart "
    "supervise.settings supervise.policy supervise.meaning supervise.record supervise.truth supervise.succession "
    "runs.keeping supervise.listening supervise.order supervise.readyspec supervise.requests "
    "analysis.questions analysis.answer analysis.table analysis.schema analysis.peers analysis.views "
    "analysis.queries comparison.difference comparison.normal comparison.lexicon comparison.trail comparison.meaning "
    "comparison.align comparison.evidence comparison.ranking comparison.explain comparison.report "
    "kept.calltext kept.family kept.noise showing.laststeps showing.blame kept.dns kept.hosts "
    "kept.timeline showing.words showing.screen showing.storydict showing.markup analysis.slices "
    "analysis.chrome analysis.protobuf analysis.perfetto "
    "samples.tables packets.denial packets.pcapng runs.report runs.usage notation supervise.envfile"
).split()
#: A pure module does not import these at all ...
WAITING = "asyncio multiprocessing pty selectors subprocess threading tty".split()
#: ... and of these reads constants, but calls nothing; nor does it call open().
CONSTANTS_ONLY = "fcntl open select signal socket time".split()
#: Calls that only compute from their arguments.
HARMLESS = {"signal.Signals", "socket.inet_ntoa", "socket.inet_ntop", "time.localtime", "time.strftime"}
#: What costs start-up time.
HEAVY = "asyncio argparse csv duckdb json leather psutil ptrace rich sqlite3 subprocess unittest".split()
NATIVE = "lowrun._native"


def place(module: str) -> tuple[int, int, str]:
    """Floor, place in the wing's list and wing of `module` ("core.fd"); a wing's __init__ stands on its modules."""
    wing, _, name = module.rpartition(".")
    for floor, (candidate, modules) in enumerate(HOUSE):
        names = modules.split()
        if candidate == wing and name in names:
            return floor, names.index(name), wing
        if candidate == module and wing == "":
            return floor, len(names), module
    raise LookupError(f"{module} stands nowhere in HOUSE")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def module_of(path: Path) -> str:
    """`lowrun/core/fd.py` -> "core.fd"; `lowrun/core/__init__.py` -> "core"; `lowrun/__init__.py` -> "__init__"."""
    name = ".".join(path.relative_to(LIBRARY).with_suffix("").parts)
    return name.removesuffix(".__init__")


def is_typing_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def running(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only a type checker sees."""
    for child in ast.iter_child_nodes(node):
        if not is_typing_only(child):
            yield child
            yield from running(child)


def imports(node: ast.AST) -> Iterator[tuple[str, str | None]]:
    """(module, name or None) of every import statement that runs."""
    for child in running(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name, None) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0 and child.module, "imports are absolute"
            yield from ((child.module, alias.name) for alias in child.names)


def house_modules(module: str, name: str | None) -> str | None:
    """The module of lowrun that `from module import name` reads, as HOUSE names it; None for any other."""
    top, _, rest = module.partition(".")
    if top != "lowrun":
        return None
    if name is not None and ((directory := LIBRARY.joinpath(*rest.split("."))) / f"{name}.py").exists():
        assert directory.is_dir()
        return f"{rest}.{name}".lstrip(".")
    if name is not None and (LIBRARY.joinpath(*rest.split("."), name) / "__init__.py").exists():
        return f"{rest}.{name}".lstrip(".")
    if name == "_native" or rest == "_native":
        return "_native"
    return rest or "__init__"


def sources(directory: Path) -> list[Path]:
    return sorted(directory.rglob("*.py"))


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


library = pytest.mark.parametrize("path", sources(LIBRARY), ids=ids)
commands = pytest.mark.parametrize("path", sources(CLI), ids=ids)
everything = pytest.mark.parametrize("path", sources(LIBRARY) + sources(CLI), ids=ids)


@library
def test_a_module_imports_only_from_below(path: Path) -> None:
    """A wing imports from lower wings only, a module from modules before it in its wing's list only."""
    floor, rank, wing = place(module_of(path))
    for module, name in imports(tree(path)):
        target = house_modules(module, name)
        if target is None or target == "_native":
            continue
        other_floor, other_rank, other_wing = place(target)
        assert (other_floor, other_rank) < (floor, rank), f"imports {target}, which stands above it"
        if path.name != "__init__.py":
            assert wing not in STRANGERS or other_wing != wing, f"imports its neighbour {target}"


@library
def test_only_core_crosses_to_c(path: Path) -> None:
    """`lowrun._native` is imported in lowrun/core only."""
    crosses = any(house_modules(*imported) == "_native" for imported in imports(tree(path)))
    assert not crosses or path.parent == LIBRARY / "core"


def public_names() -> set[str]:
    """`__all__` of lowrun/__init__.py."""
    for node in tree(LIBRARY / "__init__.py").body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__":
            return set(ast.literal_eval(node.value))
    raise AssertionError("lowrun has no __all__")


@commands
def test_the_command_line_uses_public_names_only(path: Path) -> None:
    """cli/ imports `lowrun`, names of `lowrun.__all__`, and itself."""
    for module, name in imports(tree(path)):
        if module.split(".")[0] != "lowrun" or module.startswith("lowrun.cli") or (module, name) == ("lowrun", "cli"):
            continue
        assert module == "lowrun", f"{module} is not public"
        assert name is None or name in public_names(), f"lowrun.{name} is not public"


@library
def test_the_library_never_imports_the_command_line(path: Path) -> None:
    """lowrun/ knows nothing of cli/."""
    assert not [module for module, name in imports(tree(path)) if f"{module}.{name}".startswith("lowrun.cli")]


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_does_not_wait(module: str) -> None:
    """Bytes or values in, bytes or values out: nothing that waits, no process and no descriptor."""
    path = LIBRARY.joinpath(*module.split(".")).with_suffix(".py")
    imported = {name.split(".")[0] for name, _ in imports(tree(path))}
    assert not imported & set(WAITING)
    named = {
        name for module, name in imports(tree(path)) if module in CONSTANTS_ONLY and name and not name[0].isupper()
    }
    called = {call for call in calls(tree(path)) if call.split(".")[0] in CONSTANTS_ONLY}
    assert not named | called - HARMLESS


def calls(node: ast.AST) -> Iterator[str]:
    """The called names, as written."""
    for child in running(node):
        if isinstance(child, ast.Call):
            yield ast.unparse(child.func)


@everything
def test_heavy_libraries_are_imported_where_used(path: Path) -> None:
    """No module imports a library that costs start-up time at its top."""
    for node in tree(path).body:
        if not is_typing_only(node) and isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            assert not {name.split(".")[0] for name in names} & set(HEAVY)


@everything
def test_all_that_is_public_says_what_it_is_for(path: Path) -> None:
    """Every module, public class, function and method has a docstring; an override inherits its own."""
    assert ast.get_docstring(tree(path)), "the module has no docstring"
    for node in tree(path).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} has no docstring"
            for member in node.body if isinstance(node, ast.ClassDef) else []:
                if isinstance(member, (ast.FunctionDef, ast.AsyncFunctionDef)) and not member.name.startswith("_"):
                    assert ast.get_docstring(member), f"{node.name}.{member.name} has no docstring"


@everything
def test_a_file_is_about_one_thing(path: Path) -> None:
    """A module that grows past some 400 lines is two things; a list that a tool makes is as long as it is."""
    if path.name == "ioctl_names.py":
        return
    assert len(path.read_text().splitlines()) <= 440


def test_the_house_is_complete() -> None:
    """HOUSE names every module there is and none that is not; docs/architecture.md lists the same ones in its order."""
    listed = {f"{wing}.{name}".lstrip(".") for wing, modules in HOUSE for name in modules.split()}
    wings = {wing for wing, _ in HOUSE if wing}
    assert listed == {module_of(path) for path in sources(LIBRARY)} - wings
    page = (ROOT / "docs" / "architecture.md").read_text()
    drawn = re.findall(r"^\| \d+ \| (?:`(\w+)/`|\(top\)) \| `([\w. ]+)` \|", page, re.MULTILINE)
    assert [(wing, modules.replace(".py", "")) for wing, modules in drawn] == HOUSE


IMPORT = """
import json, os, sys, threading
fds, pids = set(os.listdir("/proc/self/fd")), open("/proc/self/task/%d/children" % os.getpid()).read()
before = set(sys.modules)
sys.modules.pop("json")
import lowrun
print(json.dumps({
    "modules": sorted(set(sys.modules) - before | ({"json"} if "json" in sys.modules else set())),
    "fds": len(set(os.listdir("/proc/self/fd")) ^ fds),
    "children": open("/proc/self/task/%d/children" % os.getpid()).read() != pids,
    "threads": threading.active_count(),
}))
"""


def test_import_starts_nothing_and_costs_little() -> None:
    """`import lowrun` loads no heavy library, opens no descriptor, starts no child and no thread."""
    done = subprocess.run([sys.executable, "-I", "-c", IMPORT], capture_output=True, text=True, check=True)
    seen = json.loads(done.stdout)
    assert not {name.split(".")[0] for name in seen["modules"]} & {*HEAVY, "selectors", "socket"}
    assert (seen["fds"], seen["children"], seen["threads"]) == (0, False, 1)
