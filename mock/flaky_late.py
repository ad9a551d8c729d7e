"""Waits for a peer that sometimes is late.

    flaky_late.py poll     waits for at most 0.1 s
    flaky_late.py wait     waits as long as it takes: 30 s

Prints `ready`, then its truth: `answered`, or (poll) `too late` and exits 1.
"""

import os
import random
import select
import socket
import sys
import time


def main() -> int:
    print("ready", flush=True)
    ours, theirs = socket.socketpair()
    peer = os.fork()
    if peer == 0:
        ours.close()
        theirs.recv(64)
        late = 0.3 if sys.argv[1] == "poll" else 30
        time.sleep(late if random.random() < 0.3 else random.uniform(0, 0.01))
        theirs.send(b"answer")
        os._exit(0)
    theirs.close()
    ours.send(b"question")
    if sys.argv[1] == "poll" and not select.select([ours], [], [], 0.1)[0]:
        print("too late", flush=True)
        return 1
    ours.recv(64)
    print("answered", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
