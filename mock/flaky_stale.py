"""Goes on from a temporary file that an earlier run has left behind, and fails on what is in it.

    flaky_stale.py DIRECTORY

Now and then it leaves its temporary file there. Prints `ready`, then its truth: `done`, or `a stale file` and exits 1.
"""

import os
import random
import sys


def main() -> int:
    print("ready", flush=True)
    path = os.path.join(sys.argv[1], "job.tmp")
    try:
        state = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        step = 0
    else:
        step = int(os.read(state, 64).split()[1])
        os.unlink(path)
    if step:
        print("a stale file", flush=True)
        return 1
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    for step in range(1, 4):
        os.pwrite(file, b"step %d\n" % step, 0)
    if random.random() < 0.75:
        os.unlink(path)
    print("done", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
