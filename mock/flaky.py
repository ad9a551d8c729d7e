"""Two workers count to the same file without a lock: now and then an addition is lost.

Prints `ready`, then the count that it found; exits 1 when that is not 2. In a
failing run both workers read before either has written.
"""

import os
import random
import sys
import tempfile
import time


def add_one(fd: int) -> None:
    time.sleep(random.uniform(0, 0.02))
    count = int(os.pread(fd, 8, 0))
    time.sleep(0.006)
    os.pwrite(fd, b"%d" % (count + 1), 0)


def main() -> int:
    print("ready", flush=True)
    with tempfile.TemporaryFile() as file:
        os.pwrite(file.fileno(), b"0", 0)
        workers = []
        for _ in range(2):
            pid = os.fork()
            if pid == 0:
                add_one(file.fileno())
                os._exit(0)
            workers.append(pid)
        for pid in workers:
            os.waitpid(pid, 0)
        count = int(os.pread(file.fileno(), 8, 0))
    print(f"counted {count} of 2", flush=True)
    if count != 2:
        print("an addition was lost", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
