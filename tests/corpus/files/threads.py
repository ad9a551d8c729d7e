"""Threads that take turns, and children."""

import os
import signal
import subprocess
import sys
import tempfile
import threading

WORKERS = 4
#: Each worker waits for a byte in its pipe and passes it on to the next one: one runs at a time.
pipes = [os.pipe() for _ in range(WORKERS + 1)]
done = []


def worker(index: int) -> None:
    for turn in range(5):
        os.read(pipes[index][0], 1)
        with open("text", "rb") as file:
            file.seek((index + turn) * 100)
            done.append(file.readline())
        os.write(pipes[index + 1][1], b".")


threads = [threading.Thread(target=worker, args=(index,)) for index in range(WORKERS)]
for thread in threads:
    thread.start()
for _ in range(5):
    os.write(pipes[0][1], b".")
    os.read(pipes[WORKERS][0], 1)
for thread in threads:
    thread.join()
with tempfile.TemporaryFile() as file:
    file.write(b"".join(sorted(done)))
print(subprocess.run(["sort", "-u", "nothing"], input=b"", stderr=subprocess.DEVNULL).returncode)
print(subprocess.run("cat text | wc -l", shell=True, capture_output=True, check=True).stdout)
sleeper = subprocess.Popen(["sleep", "30"])
sleeper.send_signal(signal.SIGTERM)
print(sleeper.wait(), len(done))
sys.exit(3)
