"""Takes a lock file that another process may still hold: then it fails.

    flaky_lock.py DIRECTORY

The other process has the lock from the start on and gives it back after a random time. Prints `ready`, then its
truth: `locked`, or `the lock was taken` and exits 1.
"""

import os
import random
import sys
import time


def hold(path: str, told: int) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    os.write(told, b".")
    time.sleep(random.uniform(0, 0.03))
    os.unlink(path)


def main() -> int:
    print("ready", flush=True)
    path = os.path.join(sys.argv[1], "lock")
    reader, writer = os.pipe()
    other = os.fork()
    if other == 0:
        hold(path, writer)
        os._exit(0)
    os.read(reader, 1)
    time.sleep(0.02)
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        print("the lock was taken", flush=True)
        code = 1
    else:
        print("locked", flush=True)
        os.unlink(path)
        code = 0
    os.waitpid(other, 0)
    return code


if __name__ == "__main__":
    sys.exit(main())
