"""What a program starts in, as the kernel and an unprivileged lowrun see it."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest

import lowrun as lr
from lowrun.supervise.environment import make_command

UNPRIVILEGED = """
import os, pwd
from lowrun.supervise.environment import identity
account = pwd.getpwnam("daemon")
os.setgroups(os.getgrouplist("daemon", account.pw_gid)); os.setgid(account.pw_gid); os.setuid(account.pw_uid)
assert identity("daemon", None, None)[:3] == (None, None, None)
try:
    identity("bin", None, None)
except ValueError as error:
    print(error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not")
def test_who_may_not_is_told_so() -> None:
    """An ordinary user can ask to be himself; another user is refused before anything is started."""
    done = subprocess.run([sys.executable, "-c", UNPRIVILEGED], capture_output=True, text=True)
    assert done.stdout.startswith("another user or group needs root's rights"), done.stderr


RAISED = """
import resource, sys
import lowrun as lr
from lowrun.supervise.environment import make_command, take_descriptors
command = make_command(["sh", "-c", "ulimit -Sn; ulimit -Hn"], {}, "/")
assert take_descriptors() == {resource.RLIMIT_NOFILE: (123, 456)}
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (456, 456)
sys.exit(not lr.run(command).ok)
"""


def test_lowrun_takes_the_descriptors_and_programs_have_their_own_limit() -> None:
    """The soft limit is raised to the hard one for lowrun alone."""
    done = subprocess.run(
        [sys.executable, "-c", RAISED],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (123, 456)),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "123\n456\n"), done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_a_program_is_what_was_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    """User, groups, variables, umask, nice and limits, seen from within."""
    script = "id -u; id -g; id -G; echo $HOME $USER $LOGNAME; umask; nice; ulimit -Sn; ulimit -Hn; pwd"
    given = {
        "user": "daemon", "groups": ("mail", "7"), "umask": 0o27, "nice": 5, "cwd": "srv",
        "limit": ((resource.RLIMIT_NOFILE, (100, 200)),),
    }  # fmt: skip
    assert lr.run(make_command(["sh", "-c", script], given, "/")).ok
    assert capfd.readouterr().out.split("\n")[:-1] == [
        "1", "1", "1 7 8", "/usr/sbin daemon daemon", "0027", "5", "100", "200", "/srv",
    ]  # fmt: skip
