"""Files of many programs, and the order in which they are started."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowrun import Command, UsageError
from lowrun.cli.start_options import read_start
from lowrun.supervise.config import load, parse
from lowrun.supervise.order import start_order
from lowrun.supervise.settings import Limits, Program, Recording, Restart, StartLimit

FILE = "/etc/lowrun.toml"


def only(lines: str) -> Program:
    (program,) = parse(f'[program.web]\ncommand = "web"\n{lines}\n', FILE)
    return program


def test_a_file_has_a_table_for_each_program() -> None:
    """In the file's order; command is an array, or one text."""
    web, db = parse('[program.web]\ncommand = "web -f \'a b\'"\n[program."db.1"]\ncommand = ["db", "-x"]\n', FILE)
    assert (web.name, web.command.argv) == ("web", ("web", "-f", "a b"))
    assert (db.name, db.command.argv) == ("db.1", ("db", "-x"))


#: What a file says, and the same as words.
SAME = [
    ("respawn = true", "--respawn"),
    ("respawn = false", ""),
    ('respawn = "always"', "--respawn=always"),
    ("respawn-limit = 3\nrespawn_timeout = 0.5", "-n 3 -t 0.5"),
    ('respawn-limit = "3"\nbackoff = 60', "-n 3 --backoff 60"),
    ('start-limit = "10/600"', "--start-limit 10/600"),
    ("success-exit-status = [0, 1]", "-e 0,1"),
    ('success-exit-status = "0,1"', "-e 0,1"),
    ("success-exit-status = 3\nrestart-prevent = [4]", "-e 3 --restart-prevent 4"),
    ("pidfile = true", "-p"),
    ("pidfile = false", ""),
    ('pidfile = "/run/x.pid"', "-p=/run/x.pid"),
    ('ready = "notify"\nwatchdog = 3', "--ready notify --watchdog 3"),
    ('stop-signal = "INT"\nstop-timeout = 1', "--stop-signal INT --stop-timeout 1"),
    ("reload-signal = 10", "--reload-signal USR1"),
    ('env = { A = "b c", N = 3 }', "--env|A=b c|--env|N=3"),
    ('env = ["A=b c", "N=3"]', "--env|A=b c|--env|N=3"),
    ('[program.web.env]\nA = "b"', "--env A=b"),
    ('limit = { nofile = "1024:4096", core = 0 }', "--limit nofile=1024:4096 --limit core=0"),
    ('umask = "027"\nnice = -5', "--umask 027 --nice -5"),
    ('socket = ["tcp:127.0.0.1:80", "unix:/run/x"]', "--socket tcp:127.0.0.1:80 --socket unix:/run/x"),
    ('socket = "unix:/run/x"', "--socket unix:/run/x"),
    ('memory-limit = "64M"\ncpu-limit = 50', "--memory-limit 64M --cpu-limit 50%"),
    ('pre = ["echo", "a b"]\npost = "echo a b"', "--pre|echo 'a b'|--post|echo a b"),
    ("call-trace = true\nlog-trace = true\nlast = 30", "-ct -lt --last 30"),
    ('net-trace = true\nnet-interface = ["lo"]', "-nt -i lo"),
    ('output = "syslog"\nlog-size = 4096', "--output syslog --log-size 4K"),
    ('on-lost = "keep"\noom-score-adj = -500', "--on-lost keep --oom-score-adj -500"),
    ('user = "daemon"\ngroups = ["mail", 7]', "--user daemon --groups mail,7"),
    ('cwd = "/srv"\nchroot = "/data"', "--cwd /srv --chroot /data"),
]


@pytest.mark.parametrize(("lines", "words"), SAME)
def test_a_file_says_what_options_say(lines: str, words: str) -> None:
    """The same names, with a file's numbers, arrays and tables where they fit."""
    options = words.split("|") if "|" in words else words.split()
    (expected,) = read_start([*options, "web"]).programs
    assert only(lines) == expected


def test_relative_paths_are_from_the_files_directory(tmp_path: Path) -> None:
    """Wherever lowrun is started."""
    (tmp_path / "vars").write_text("A=b\n")
    file = tmp_path / "programs.toml"
    file.write_text(
        '[program.web]\ncommand = "./web"\nenv-file = "vars"\n[program.db]\ncommand = "bin/db"\ncwd = "db"\n'
    )
    web, db = load(str(file))
    assert web.command.argv == (f"{tmp_path}/web",)
    assert web.command.env is not None and web.command.env["A"] == "b"
    assert (db.command.cwd, db.command.argv) == (f"{tmp_path}/db", (f"{tmp_path}/db/bin/db",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f"{FILE}: no program in it; a program's table is [program.NAME]"),
        ("x", f"{FILE}: Expected '=' after a key in a key/value pair (at end of document)"),
        ('[web]\ncommand = "x"', f"{FILE}:1: there is no table web; a program's is [program.web]"),
        ("[program.web]\nrespawn = true", f"{FILE}:1: web has no command"),
        ("program = 3\nweb = 1", f"{FILE}:2: there is no table web"),
        ("program = 3", f"{FILE}: no program in it"),
        ("[program]\nweb = 3", f"{FILE}:2: a program's table is [program.NAME]"),
        ('[program."a/b"]\ncommand = "x"', f"{FILE}:1: a/b: 'a/b' can be no program's name"),
        (
            '[program.a]\ncommand = "x"\nrespawn = true\n[program.b]\n# b\ncommand = "x"\nrespwan = true',
            f"{FILE}:7: unknown option respwan; did you mean respawn?",
        ),
        ('[program.a]\ncommand = "x"\n"env_fil" = 1', f"{FILE}:3: unknown option env_fil; did you mean env-file?"),
        ('[program.a]\ncomand = "x"', f"{FILE}:2: unknown option comand; did you mean command?"),
        ('[program.a]\ncommand = "x"\nattach = 3', f"{FILE}:3: unknown option attach"),
        ("[program.a]\ncommand = 3", f"{FILE}:2: command 3: a command is needed"),
        ("[program.a]\ncommand = []", f"{FILE}:2: command []: a command is needed"),
        ('[program.a]\ncommand = ["x", 3]', f"{FILE}:2: command ['x', 3]: a command is needed"),
        ("[program.a]\ncommand = '\"x'", f"{FILE}:2: command '\"x': no closing quotation"),
        ('[program.a]\ncommand = "x"\nlimit = { nofiles = 3 }', f"{FILE}:3: limit {{'nofiles': 3}}: there is no limit"),
        ('[program.a]\ncommand = "x"\n[program.a.env]\nB = [1]', f"{FILE}:3: env {{'B': [1]}}: NAME=VALUE is needed"),
        ('[program.a]\ncommand = "x"\nuser = "nosuchuser"', f"{FILE}:1: a: there is no user 'nosuchuser'"),
        ('[program.a]\ncommand = "x"\ncalls = "%file"', f"{FILE}:1: a: calls says how call-trace records"),
        ('[program.a]\ncommand = "x"\nafter = ["a"]', f"{FILE}: these wait for each other (after, needs): a -> a"),
        (
            '[program.base]\ncommand = "x"\nneeds = ["bsae"]',
            f"{FILE}: base: needs 'bsae': there is no such program; did you mean base?",
        ),
        (
            '[program.a]\ncommand = "x"\nafter = ["b"]\n[program.b]\ncommand = "x"\nneeds = ["c"]\n'
            '[program.c]\ncommand = "x"\nafter = ["a"]',
            f"{FILE}: these wait for each other (after, needs): a -> b -> c -> a",
        ),
    ],
)
def test_what_is_wrong_in_a_file_is_named(text: str, message: str) -> None:
    """In one line, with the file's line where it can be found and the nearest right name."""
    with pytest.raises(UsageError) as caught:
        parse(text, FILE)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_all_that_is_wrong_is_named_at_once() -> None:
    """A line each, in the file's order; of very many the first twenty."""
    text = """\
[program.a]
comand = "x"
respawn = 1
[program.b]
command = "x"
nice = 100
user = "nosuchuser"
[program.c]
respawn = true
[web]
"""
    with pytest.raises(UsageError) as caught:
        parse(text, FILE)
    assert str(caught.value).split("\n") == list(caught.value.args)
    assert [line.removeprefix(f"{FILE}:")[:24] for line in caught.value.args] == [
        "2: unknown option comand",
        "3: respawn 1: failure, a",
        "6: nice 100: a whole num",
        "8: c has no command",
        "10: there is no table we",
    ]
    with pytest.raises(UsageError) as many:
        parse("[program.a]\n" + "".join(f"x{number} = 1\n" for number in range(30)), FILE)
    assert len(many.value.args) == 21
    assert many.value.args[-1] == f"{FILE}: ... and 10 more"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("respawn = 1", "respawn 1: failure, always or never is needed"),
        ("respawn-limit = true", "respawn-limit true: a whole number is needed"),
        ("respawn-limit = 0.5", "respawn-limit 0.5: a whole number is needed"),
        ("respawn-limit = -1", "respawn-limit -1: a whole number is needed"),
        ('stop-timeout = "soon"', "stop-timeout 'soon': a number of seconds, 0 or more, is needed"),
        ("stop-timeout = 1979-05-27", "stop-timeout datetime.date(1979, 5, 27): a number of seconds is needed"),
        ("stop-timeout = nan", "stop-timeout nan: a number of seconds, 0 or more, is needed"),
        ('log-trace = "yes"', "log-trace 'yes': true or false is needed"),
        ("umask = 0o22", "umask 18: an octal number as text is needed"),
        ("env = 3", "env 3: NAME=VALUE is needed"),
        ("socket = [1]", "socket [1]: tcp:HOST:PORT or unix:PATH is needed"),
        ("user = ['a']", "user ['a']: a name or a number is needed"),
        ('success-exit-status = [0, "x"]', "success-exit-status [0, 'x']: codes from 0 to 255 are needed"),
        ('needs = [""]', "needs ['']: names are needed"),
        ('log-keep = "x"', "log-keep 'x': a whole number from 0 to 1000 is needed"),
        ('pidfile = "x.pid"', "pidfile 'x.pid': a path that begins with / is needed"),
        ("pidfile = 3", "pidfile 3: a path is needed"),
    ],
)
def test_a_wrong_type_says_what_is_wanted(line: str, message: str) -> None:
    """It names the line and the option as it is written there."""
    with pytest.raises(UsageError) as caught:
        only(line)
    assert str(caught.value).startswith(f"{FILE}:3: {message}")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """Missing, a directory, no UTF-8: one line each."""
    (tmp_path / "latin").write_bytes(b"[program.a]\ncommand = '\xe4'\n")
    for name, message in (("none", "No such file"), (".", "Is a directory"), ("latin", "TOML is UTF-8")):
        with pytest.raises(UsageError, match=message):
            load(str(tmp_path / name))


def test_keys_in_a_text_are_no_keys() -> None:
    """A line of a text of many lines that looks like a key is not taken for one."""
    with pytest.raises(UsageError) as caught:
        only('env = """\nA=1\n"""\nrespwan = 1')
    assert str(caught.value).startswith(f"{FILE}:6: unknown option respwan")


# -- order


def program(name: str, after: tuple[str, ...] = (), needs: tuple[str, ...] = ()) -> Program:
    return Program(name, Command(("x",)), after=after, needs=needs)


@st.composite
def programs_without_cycles(draw: st.DrawFn) -> list[Program]:
    """Programs that wait for others before them only, in any order."""
    names = [f"p{number}" for number in range(draw(st.integers(0, 12)))]
    made = []
    for index, name in enumerate(names):
        before = st.lists(st.sampled_from(names[:index]), unique=True, max_size=4) if index else st.just([])
        made.append(program(name, tuple(draw(before)), tuple(draw(before))))
    return draw(st.permutations(made))


@given(programs_without_cycles())
def test_each_is_started_once_and_behind_what_it_waits_for(programs: list[Program]) -> None:
    """Every program is in exactly one group, as early as it can be, in the order they were given."""
    groups = start_order(programs)
    place = {one.name: index for index, group in enumerate(groups) for one in group}
    assert sorted(one.name for group in groups for one in group) == sorted(one.name for one in programs)
    for one in programs:
        waits = [place[name] for name in (*one.after, *one.needs)]
        assert place[one.name] == max(waits, default=-1) + 1
    for group in groups:
        assert group == [one for one in programs if one in group]


@given(st.integers(1, 8), st.integers(0, 4))
def test_a_cycle_is_named_and_nothing_else(size: int, more: int) -> None:
    """Programs around it that only wait for it are left out."""
    around = [program(f"c{number}", needs=(f"c{(number + 1) % size}",)) for number in range(size)]
    others = [program(f"o{number}", after=("c0",)) for number in range(more)]
    with pytest.raises(UsageError) as caught:
        start_order([*others, *around])
    named = str(caught.value).split(": ")[1].split(" -> ")
    assert named[0] == named[-1] and len(named) == size + 1
    assert set(named) == {one.name for one in around}


def test_values_are_used() -> None:
    """A file's program is a settings value like any other."""
    asked = only('respawn = true\nstart-limit = "3/10"\nmemory-limit = 4096\nlog-trace = true\nlast-size = 10')
    assert asked == Program(
        "web",
        asked.command,
        restart=Restart("failure", start_limit=StartLimit(3, 10.0)),
        limits=Limits(4096),
        recording=Recording(output=True, last_size=10),
    )
