"""Failing calls that every healthy program makes: searches, questions, would-block. Pure.

They are left out of what is shown of a failing process, as long as something else is left. A rule here is about one
call alone; that a search found its file in the end (`openat("/lib/a/libc.so.6")` fails, `/lib/libc.so.6` is opened) is
told by what comes later: `Trail` in laststeps.py.
"""

from __future__ import annotations

import re

from lowrun.kept.family import basename
from lowrun.trace.event import Event

__all__ = ["SEARCHES", "is_noise", "sought"]

#: Answers that are no failure, whatever the call: would block, interrupted, begun again, under way.
ANSWERS = frozenset(
    "EAGAIN EWOULDBLOCK EINTR EINPROGRESS EALREADY ERESTARTSYS ERESTARTNOINTR ERESTARTNOHAND "
    "ERESTART_RESTARTBLOCK".split()
)
#: (call, error): a question whose answer is no.
QUESTIONS = frozenset(
    (
        ("arch_prctl", "EINVAL"),
        ("fgetxattr", "ENODATA"),
        ("fgetxattr", "EOPNOTSUPP"),
        ("futex", "ETIMEDOUT"),
        ("getpeername", "ENOTCONN"),
        ("getxattr", "ENODATA"),
        ("getxattr", "EOPNOTSUPP"),
        ("ioctl", "ENOTTY"),
        ("ioctl", "EINVAL"),
        ("lgetxattr", "ENODATA"),
        ("lgetxattr", "EOPNOTSUPP"),
        ("lseek", "ESPIPE"),
        ("prctl", "EINVAL"),
        ("readlink", "EINVAL"),
        ("readlinkat", "EINVAL"),
        ("rseq", "EINVAL"),
        ("rt_sigtimedwait", "EAGAIN"),
        ("set_robust_list", "ENOSYS"),
        ("sigaltstack", "EPERM"),
        ("wait4", "ECHILD"),
        ("waitid", "ECHILD"),
    )
)
#: Calls that look for a file.
SEARCHES = frozenset(
    "access faccessat faccessat2 open openat openat2 stat stat64 lstat lstat64 newfstatat fstatat64 statx readlink "
    "readlinkat execve execveat connect statfs".split()
)
ABSENT = frozenset(("ENOENT", "ENOTDIR"))
#: Files that are optional wherever a program is healthy: the dynamic loader's, the C library's, Python's, the shell's.
OPTIONAL = re.compile(
    r"""
      \.so(\.\d+)*$ | /ld\.so\.(preload|nohwcap)$ | /glibc-hwcaps(/|$)
    | /(tls|x86_64|haswell|avx512_1|aarch64|i686)(/|$)
    | /locale(/|$|-archive$|\.alias$) | \.(mo|cat)$ | /gconv/ | /charset\.alias$ | /nscd/
    | /etc/(localtime|gai\.conf|host\.conf|nsswitch\.conf|netsvc\.conf|terminfo/.*|inputrc|krb5\.conf)$
    | /(pyvenv\.cfg|pybuilddir\.txt|python\d*\.zip|__init__\.[\w.-]+|sitecustomize|usercustomize)(/|$)
    | python[\d.]*\._pth$ | /Modules/Setup\.local$ | (sitecustomize|usercustomize)\.[\w.-]+$
    | /\.local/lib/python[\d.]+/site-packages$ | \.(cpython-[\w.-]+|abi3)\.so$ | \.pyc$ | /__pycache__(/|$)
    | /(etc/|\.)(bash_profile|bash_login|bashrc|profile|gitconfig|curlrc|wgetrc|perlrc|xdg/.*)$
    | /dev/tty$ | /proc/sys/ | (^/sys/fs)?/selinux(/|$) | /run/(nscd|systemd)/
    """,
    re.VERBOSE,
)


def is_noise(event: Event) -> bool:
    """Tell whether a call that failed is one that healthy programs make, too."""
    if event.error in ANSWERS or (event.name, event.error) in QUESTIONS:
        return True
    return event.name in SEARCHES and event.error in ABSENT and OPTIONAL.search(event.path) is not None


def sought(event: Event) -> str:
    """Return the base name that a call looks for, "" when it looks for no file."""
    return basename(event.path) if event.name in SEARCHES else ""
