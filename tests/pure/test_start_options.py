"""What the words after start, stop, status, restart, reload, log and wait mean."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowrun import UsageError, supervise
from lowrun.cli import control_options
from lowrun.cli.control_options import LogRequest, Request, StatusRequest, StopRequest, WaitRequest, read_control
from lowrun.cli.main import main
from lowrun.cli.start_options import START_OPTIONS, help_text, read_start


def program(words: str) -> supervise.Program:
    (only,) = read_start(words.split()).programs
    return only


def test_the_contracts_example() -> None:
    """Codes, a daemon with its pidfile, and arguments behind --."""
    asked = program("--respawn -e 0,1 -p lighttpd -- -f /etc/lighttpd/lighttpd.conf")
    assert asked.name == "lighttpd"
    assert asked.command.argv == ("lighttpd", "-f", "/etc/lighttpd/lighttpd.conf")
    assert asked.restart == supervise.Restart(when="failure", success=frozenset({0, 1}))
    assert asked.pidfile == "/run/lighttpd.pid"


def test_a_program_without_options_is_never_respawned() -> None:
    """The defaults are those of the settings; lowrun's variables, directory and user are the program's."""
    asked = program("sleep 1")
    plain = supervise.Program("sleep", asked.command, restart=supervise.Restart("never"))
    assert asked == plain
    assert (asked.command.env, asked.command.cwd, asked.command.uid) == (None, None, None)
    assert (asked.restart.when, asked.restart.delay, asked.stop_timeout) == ("never", 5.0, 10.0)


@pytest.mark.parametrize(
    ("words", "argv"),
    [
        ("prog", ("prog",)),
        ("prog a -b --respawn", ("prog", "a", "-b", "--respawn")),
        ("prog -- a -b", ("prog", "a", "-b")),
        ("prog a -- b", ("prog", "a", "--", "b")),
        ("prog -- -- a", ("prog", "--", "a")),
        ("-- prog -- a", ("prog", "--", "a")),
        ("-- start", ("start",)),
        ("/bin/prog", ("/bin/prog",)),
    ],
)
def test_words_after_program_are_its_arguments(words: str, argv: tuple[str, ...]) -> None:
    """With and without one -- right behind PROGRAM."""
    assert program(words).command.argv == argv


@pytest.mark.parametrize(
    ("words", "pidfile", "argv"),
    [
        ("-p prog", "/run/prog.pid", ("prog",)),
        ("-p prog /x", "/run/prog.pid", ("prog", "/x")),
        ("-p /run/x.pid prog", "/run/x.pid", ("prog",)),
        ("--pidfile /run/x.pid prog a", "/run/x.pid", ("prog", "a")),
        ("-p /run/x.pid /bin/prog -- a", "/run/x.pid", ("/bin/prog", "a")),
        ("-p /run/x.pid --respawn -n 3 prog", "/run/x.pid", ("prog",)),
        ("-p /bin/prog", "/run/prog.pid", ("/bin/prog",)),
        ("-p /bin/prog -- a", "/run/prog.pid", ("/bin/prog", "a")),
        ("-p /bin/prog -- /a b", "/run/prog.pid", ("/bin/prog", "/a", "b")),
        ("-p /bin/prog -g x", "/run/prog.pid", ("/bin/prog", "-g", "x")),
        ("-p /bin/prog -f x", "/run/prog.pid", ("/bin/prog", "-f", "x")),
        ("-p=/run/x.pid prog", "/run/x.pid", ("prog",)),
        ("-p/run/x.pid prog", "/run/x.pid", ("prog",)),
        ("--pidfile=/run/x.pid prog", "/run/x.pid", ("prog",)),
        ("-p --name web prog", "/run/prog.pid", ("prog",)),
    ],
)
def test_a_pidfile_is_a_path_before_a_program(words: str, pidfile: str, argv: tuple[str, ...]) -> None:
    """The word behind -p is PIDFILE only if it begins with / and a word that can be PROGRAM follows."""
    asked = program(words)
    assert (asked.pidfile, asked.command.argv) == (pidfile, argv)


def test_every_option_has_its_field(tmp_path: Path) -> None:
    """All options at once: each value is where the settings have it."""
    (tmp_path / "vars").write_text("A=file\nB=file\n")
    asked = program(
        "--respawn=always -n 4 -t 0.5 --backoff 60 --stable-after 30 --start-limit 10/600 -e 0,3 --restart-prevent 4,5 "
        "--ready tcp=127.0.0.1:80 --start-timeout 7 --watchdog 3 --stop-signal INT --stop-timeout 2 "
        "--reload-signal SIGUSR1 --on-lost keep --chroot /srv --cwd /data --env A=option --env C=a=b "
        f"--env-file {tmp_path}/vars --umask 027 --nice 5 --limit nofile=10:20 --limit core=0 --oom-score-adj -500 "
        "--memory-limit 64M --cpu-limit 150% --socket tcp:127.0.0.1:8080 --socket unix:/run/s --output syslog "
        "--log-size 1M --log-keep 9 --pre true --post true --on-exit true -st -ct -lt -nt --calls %file --keep-binary "
        "--interval 0.5 -i lo --net-filter udp --net-ring-size 1M --snaplen 96 --last 30 --last-size 1G "
        "--keep-failures 2 --name web prog"
    )
    environment = asked.command.env or {}
    assert {name: environment[name] for name in "ABC"} == {"A": "option", "B": "file", "C": "a=b"}
    command = supervise.Program("x", asked.command).command
    assert (command.chroot, command.cwd, command.umask, command.nice) == ("/srv", "/data", 0o027, 5)
    assert asked == supervise.Program(
        "web",
        command,
        restart=supervise.Restart(
            when="always",
            limit=4,
            delay=0.5,
            backoff=60.0,
            stable_after=30.0,
            start_limit=supervise.StartLimit(10, 600.0),
            success=frozenset({0, 3}),
            prevent=frozenset({4, 5}),
        ),
        ready="tcp=127.0.0.1:80",
        start_timeout=7.0,
        watchdog=3.0,
        stop_signal=signal.SIGINT,
        stop_timeout=2.0,
        reload_signal=signal.SIGUSR1,
        sockets=("tcp:127.0.0.1:8080", "unix:/run/s"),
        pre=("true",),
        post=("true",),
        on_exit=("true",),
        output="syslog",
        log_size=1 << 20,
        log_keep=9,
        on_lost="keep",
        limits=supervise.Limits(memory=64 << 20, cpu_percent=150.0),
        oom_score_adj=-500,
        recording=supervise.Recording(
            True, True, True, True, "%file", True, 0.5, ("lo",), "udp", 1 << 20, 96, 30.0, 1 << 30, 2
        ),
    )


def test_lowruns_own_options() -> None:
    """-D and -d are the verb's, not the program's."""
    assert read_start(["-D", "-d", "x"]) == read_start(["x"])._replace(foreground=True, debug=True)
    assert read_start(["--respawn", "--help"]).help
    assert read_start(["-D", "--pass-output", "x"]).programs[0].output == "pass"


def test_a_relative_program_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is started from / is what the user saw; with --cwd the path is from there, as with env -C."""
    monkeypatch.chdir(tmp_path)
    assert program("./x a").command.argv == (f"{tmp_path}/x", "a")
    assert program("--cwd y ./x").command.argv[0] == f"{tmp_path}/y/x"
    assert program("--cwd y ./x").command.cwd == f"{tmp_path}/y"
    assert program("--chroot /srv --cwd y bin/x").command.argv[0] == "bin/x"


def test_one_word_is_split_with_a_hint() -> None:
    """As in a run: no shell runs it."""
    request = read_start(["--respawn", "sleep 1 | cat"])
    assert request.programs[0].command.argv == ("sleep", "1", "|", "cat")
    assert request.programs[0].name == "sleep"
    assert request.hints[0].startswith("hint: no shell runs COMMAND")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("-t 1 -n 3", "--respawn-limit, --respawn-timeout"),
        ("--backoff 8 --start-limit 3/10", "--backoff, --start-limit"),
        ("--restart-prevent 3 --stable-after 1", "--stable-after, --restart-prevent"),
    ],
)
def test_options_that_do_nothing_without_respawn(words: str, named: str) -> None:
    """What says how it is respawned is no error without --respawn; a warning names it and what is missing."""
    (warning,) = read_start([*words.split(), "sleep", "1"]).hints
    assert warning == f"warning: sleep is never respawned, so nothing comes of {named}; give --respawn, too"
    assert read_start(["--respawn", *words.split(), "sleep", "1"]).hints == ()
    assert read_start(["-e", "0,1", "sleep", "1"]).hints == ()


def test_options_of_a_file_that_do_nothing_without_respawn(tmp_path: Path) -> None:
    """The same of a program in a file."""
    file = tmp_path / "x.toml"
    file.write_text('[program.a]\ncommand = "true"\nbackoff = 3\n[program.b]\ncommand = "true"\n')
    warning = "warning: a is never respawned, so nothing comes of backoff; give respawn = true, too"
    assert read_start(["-f", str(file)]).hints == (warning,)


def test_a_value_of_respawn_that_became_the_program() -> None:
    """The value of --respawn follows =; where no such program exists the user is told so."""
    (hint,) = read_start(["--respawn", "always", "sleep", "3"]).hints
    assert hint == "hint: there is no program always; if you mean when to respawn: --respawn=always"
    assert read_start(["always", "sleep", "3"]).hints == ()


def test_what_runs_already_is_attached_to() -> None:
    """--attach takes name and words from the process, or PROGRAM's."""
    own = os.getpid()
    asked = program(f"--attach {own}")
    assert asked.attach == own
    assert asked.name == Path("/proc/self/comm").read_text().strip()
    assert program(f"--attach {own} --respawn web -x").command.argv == ("web", "-x")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "no PROGRAM given; see lowrun start --help"),
        ("--respawn", "no PROGRAM given"),
        ("--respwan x", "unknown option --respwan; did you mean --respawn?"),
        ("--respawn=often x", "--respawn 'often': failure, always or never is needed"),
        ("--stop-singal 9 x", "unknown option --stop-singal; did you mean --stop-signal?"),
        ("-n -1 x", "-n '-1': a whole number is needed"),
        ("-t soon x", "-t 'soon': a number of seconds, 0 or more, is needed"),
        ("-p=x.pid prog", "-p 'x.pid': a path that begins with / is needed"),
        ("--start-limit 3 x", "--start-limit '3': N/SEC is needed"),
        ("--start-limit 3/0 x", "--start-limit '3/0': a time longer than 0"),
        ("--ready notfy x", "--ready takes notify, fd=N, pidfile, tcp=HOST:PORT or log=REGEX, not 'notfy'"),
        ("--ready pidfile x", "--ready pidfile needs one: give --pidfile, too"),
        ("--watchdog 0 x", "--watchdog '0': a time longer than 0 is needed"),
        ("--stop-signal HUPP x", "--stop-signal 'HUPP': a signal is needed"),
        ("--on-lost forget x", "--on-lost 'forget': kill or keep is needed"),
        ("--umask 888 x", "--umask '888': an octal number up to 777 is needed"),
        ("--nice 20 x", "--nice '20': a whole number from -20 to 19 is needed"),
        ("--limit nofiles=3 x", "--limit 'nofiles=3': there is no limit nofiles; did you mean nofile?"),
        ("--limit nofile=3:2 x", "--limit 'nofile=3:2': the soft limit is above the hard one"),
        ("--limit nofile x", "--limit 'nofile': NAME=VALUE is needed"),
        ("--env A x", "--env 'A': NAME=VALUE is needed"),
        ("--env-file /nonexistent/f x", "/nonexistent/f: no such file; begin the name with -"),
        ("--user nosuchuser x", "there is no user 'nosuchuser'"),
        ("--group nosuchgroup x", "there is no group 'nosuchgroup'"),
        ("--user 4294967295 x", "4294967295 can be no user's or group's number"),
        ("--user 54321 x", "there is no user 54321, so its group is not known: give --group, too"),
        ("--cpu-limit none x", "--cpu-limit 'none': percent of one processor are needed"),
        ("--calls %file x", "--calls says how --call-trace records: give --call-trace, too"),
        ("--last 3 x", "--last says what is kept of failures: give one of --call-trace"),
        ("--pass-output x", "--pass-output needs -D"),
        ("--pass-output --output file -D x", "give either --pass-output or --output, not both"),
        ("--name a/b x", "'a/b' can be no program's name"),
        ("--name .x x", "'.x' can be no program's name"),
        ("--attach 0 x", "--attach '0': at least 1 is needed"),
        ("--attach 4194303 --respawn", "--attach with --respawn needs PROGRAM"),
        ("-f x.toml --respawn", "--respawn beside -f: say it in the file"),
        ("-f x.toml prog", "'prog' beside -f: the file says what is started"),
        ("-f /nonexistent/x.toml", "/nonexistent/x.toml: No such file or directory"),
        ("-D=1 x", "-D takes no value"),
    ],
)
def test_wrong_words_are_named(words: str, message: str) -> None:
    """What is wrong is said in one line, with the nearest right name."""
    with pytest.raises(UsageError) as caught:
        read_start(words.split())
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_program_that_can_have_no_name_needs_one() -> None:
    """A base name that no directory may have is refused with the remedy."""
    with pytest.raises(UsageError, match=r"can be no program's name.*; give one by --name"):
        read_start(["/bin/a b", "c"])
    assert program("--name c [").name == "c"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("stop lighttpd", StopRequest(("lighttpd",))),
        ("stop /usr/sbin/lighttpd", StopRequest(("lighttpd",))),
        ("stop -p lighttpd", StopRequest(("lighttpd",), pidfile="")),
        ("stop -p /run/x.pid lighttpd", StopRequest(("lighttpd",), pidfile="/run/x.pid")),
        ("stop a --stop-timeout 0.5", StopRequest(("a",), stop_timeout=0.5)),
        ("restart a b -d", Request(("a", "b"), debug=True)),
        ("reload a", Request(("a",))),
        ("status", StatusRequest()),
        ("status --json", StatusRequest(json=True)),
        ("status a --json", StatusRequest(("a",), json=True)),
        ("status -p a", StatusRequest(("a",), pidfile="")),
        ("log a -f", LogRequest(("a",), follow=True)),
        ("log --output -n 20 a", LogRequest(("a",), output=True, lines=20)),
        ("log -n5 a", LogRequest(("a",), lines=5)),
        ("wait a", WaitRequest(("a",))),
        ("wait a --until ready --timeout 0.5", WaitRequest(("a",), until="ready", timeout=0.5)),
        ("wait --help", WaitRequest(help=True)),
    ],
)
def test_the_other_verbs(words: str, expected: object) -> None:
    """Options may stand before and behind NAME; PROGRAM stands for its base name."""
    verb, *rest = words.split()
    assert read_control(verb, rest) == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("stop", "no NAME given; lowrun status lists them; see lowrun stop --help"),
        ("log a b", "'b': log takes one NAME only"),
        ("wait a --until dead", "--until 'dead': running, ready or stopped is needed"),
        ("status a --jsn", "unknown option --jsn; did you mean --json?"),
        ("log a --folow", "unknown option --folow; did you mean --follow?"),
        ("status ..", "'..' can be no program's name"),
    ],
)
def test_wrong_words_of_the_other_verbs(words: str, message: str) -> None:
    """What is wrong is said in one line."""
    verb, *rest = words.split()
    with pytest.raises(UsageError) as caught:
        read_control(verb, rest)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("verb", ["start", *control_options.VERBS])
def test_a_verb_explains_itself(verb: str, capfd: pytest.CaptureFixture[str]) -> None:
    """--help prints usage, each option and examples to standard error, within 100 columns, and is no failure."""
    assert main([verb, "--help"]) == 0
    out, err = capfd.readouterr()
    table = START_OPTIONS if verb == "start" else control_options.VERBS[verb].table
    assert out == ""
    assert err.startswith(f"usage: lowrun {verb}")
    assert "\nexamples:\n  lowrun" in err and "\nexit: 0 " in err
    assert all(f" {name}" in err for option in table for name in option.names)
    assert max(map(len, err.splitlines())) <= 100


@pytest.mark.parametrize("words", [["start"], ["start", "--bogus"], ["stop"], ["wait", "a", "b"], ["-d", "log"]])
def test_wrong_usage_is_exit_2(words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    """Wrong usage is exit 2 and one line."""
    assert main([word for word in words if word != "-d"]) == 2
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("lowrun: ")


def test_the_command_line_has_every_setting() -> None:
    """Each setting is an option of start, but for what is between the programs of a file."""
    of_files = {"after", "needs"}
    rows = {option.field for option in START_OPTIONS}
    assert set(supervise.SETTINGS) - of_files == rows - {"attach", "foreground", "name", "file", "debug", "help"}
    assert "--respawn[=always]" in help_text()


NAMES = [name for option in START_OPTIONS for name in option.names]
WORDS = st.lists(st.one_of(st.sampled_from([*NAMES, "--", "x", "/x", "1", "/", "=", "-", ""]), st.text()), max_size=8)


@given(WORDS)
def test_any_words_are_read_or_refused(words: list[str]) -> None:
    """Nothing else comes of them."""
    with suppress(UsageError):
        request = read_start(words)
        assert request.help or request.programs
