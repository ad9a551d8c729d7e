"""What words mean to the command line: options, verbs, COMMAND."""

from __future__ import annotations

import pytest

from lowrun import UsageError
from lowrun.cli.main import LATER, main
from lowrun.cli.options import RUN_OPTIONS, Options, help_text, read


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("-c10", Options(runs=10)),
        ("-c 10", Options(runs=10)),
        ("-c=10", Options(runs=10)),
        ("--count=10", Options(runs=10)),
        ("--count 10", Options(runs=10)),
        ("-c 2 -c 3", Options(runs=3)),
        ("-fc 2", Options(failed_count=2)),
        ("-fc2", Options(failed_count=2)),
        ("--failed-count 2", Options(failed_count=2)),
        ("-ct -lt -q -d", Options(call_trace=True, log_trace=True, quiet=True, debug=True)),
        ("--call-trace --log-trace", Options(call_trace=True, log_trace=True)),
        ("-t 0.5 --kill-after 0", Options(timeout=0.5, kill_after=0.0)),
        ("-t 1e1", Options(timeout=10.0)),
        ("-t.5", Options(timeout=0.5)),
        ("-t 0", Options(timeout=None)),
        ("-e 0,3", Options(success=(0, 3))),
        ("-e0,3", Options(success=(0, 3))),
        ("-j4 --warmup 0", Options(jobs=4, warmup=0)),
        ("--keep all --engine ptrace --calls %file", Options(keep="all", engine="ptrace", calls="%file")),
        ("-o out --json - --input /dev/null", Options(output="out", json="-", input="/dev/null")),
        ("-oout", Options(output="out")),
        ("-nt -i lo -ieth0", Options(net_trace=True, interfaces=("lo", "eth0"))),
        ("--net-filter udp --net-ring-size 64K", Options(net_filter="udp", ring_size=1 << 16)),
        ("--net-ring-size 2m --snaplen 96", Options(ring_size=2 << 20, snaplen=96)),
    ],
)
def test_options_make_values(words: str, expected: Options) -> None:
    """Each way of writing an option gives the same value, and what follows is COMMAND."""
    options, parsed = read([*words.split(), "cmd", "-c", "--", "x"])
    assert options == expected
    assert parsed.words == ("cmd", "-c", "--", "x")


def test_prepare_is_split_as_a_shell_would() -> None:
    """--prepare takes a command line in one word; no shell runs it."""
    assert read(["--prepare", "rm -f 'a b'", "x"])[0].prepare == ("rm", "-f", "a b")


def test_dashes_end_the_options() -> None:
    """After -- a word is COMMAND whatever it looks like; a lone - is a word."""
    assert read(["-q", "--", "-c", "3"])[1] == ({"quiet": True}, ("-c", "3"), True)
    assert read(["-q", "-", "x"])[1] == ({"quiet": True}, ("-", "x"), False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("-x", "unknown option -x"),
        ("--cuont 3", "unknown option --cuont; did you mean --count?"),
        ("-count 3", "unknown option -count; did you mean --count?"),
        ("-output x", "unknown option -output; did you mean --output?"),
        ("--jsn=x", "unknown option --jsn; did you mean --json?"),
        ("-tc x", "unknown option -tc; did you mean"),
        ("-c", "-c needs a value: -c N"),
        ("-c ten", "-c 'ten': a whole number is needed"),
        ("-c 0", "-c '0': at least 1 is needed"),
        ("-c0", "-c '0': at least 1 is needed"),
        ("-c 1_0", "-c '1_0': a whole number is needed"),
        ("-c -1", "-c '-1': a whole number is needed"),
        ("-fc 0", "-fc '0': at least 1"),
        ("-t nan", "-t 'nan': a number of seconds"),
        ("-t inf", "-t 'inf': a number of seconds"),
        ("-t -1", "-t '-1': a number of seconds"),
        ("--kill-after x", "--kill-after 'x': a number of seconds, 0 or more"),
        ("-e 0,300", "-e '0,300': codes from 0 to 255"),
        ("-e 0,,1", "-e '0,,1': codes from 0 to 255"),
        ("--keep most", "--keep 'most': failed, failed+1, all or none is needed"),
        ("-q=1", "-q takes no value"),
        ("--json= x", "--json '': a path is needed"),
        ("--prepare ' x", '--prepare "\'": No closing quotation'),
        ("--interval x", "--interval 'x': a number of seconds, 0 or more"),
        ("--net-ring-size 1X x", "--net-ring-size '1X': a number of bytes is needed, or of K, M or G"),
        ("--net-ring-size K x", "--net-ring-size 'K': a number of bytes is needed, or of K, M or G"),
        ("--snaplen 0 x", "--snaplen '0': at least 1 is needed"),
        ("-i= x", "-i '': an interface is needed"),
        ("--engine bpf x", "--engine 'bpf': not in this version yet"),
        ("--engine gdb x", "--engine 'gdb': auto, ptrace or python is needed"),
    ],
)
def test_wrong_words_are_named(words: str, message: str) -> None:
    """What is wrong is said in one line, with the nearest right name."""
    with pytest.raises(UsageError) as caught:
        read(words.split(" "))
    assert str(caught.value).lower().startswith(message.lower())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("words", [["--bogus"], [], ["-c", "3"], ["--"], ["run"], *([verb] for verb in sorted(LATER))])
def test_wrong_usage_is_exit_2(words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    """Wrong usage is exit 2 and exactly one line on standard error; so is a verb that is not there yet."""
    assert main(words) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("lowrun: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_is_for_standard_error(word: str, capfd: pytest.CaptureFixture[str]) -> None:
    """--help prints to standard error and is no failure."""
    assert main([word]) == 0
    out, err = capfd.readouterr()
    assert (out, err) == ("", help_text())


def test_help_names_each_option() -> None:
    """Every option stands in --help, and it fits 100 columns."""
    text = help_text()
    for option in RUN_OPTIONS:
        for name in option.names:
            assert f" {name}" in text
    assert max(map(len, text.splitlines())) <= 100


def test_version_is_for_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    """--version prints one line to standard output."""
    assert main(["--version"]) == 0
    assert capfd.readouterr().out.startswith("lowrun 0.")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_names_each_option(shell: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A completion script is made of the option table."""
    assert main(["--completion", shell]) == 0
    script = capfd.readouterr().out
    assert all(option.names[-1].lstrip("-") in script for option in RUN_OPTIONS)
