"""Threads that wait for each other, and children."""

import queue
import signal
import subprocess
import sys
import tempfile
import threading

work: "queue.Queue[int | None]" = queue.Queue()
done = []


def worker() -> None:
    while (number := work.get()) is not None:
        with open("text", "rb") as file:
            file.seek(number * 100)
            done.append(file.readline())


threads = [threading.Thread(target=worker) for _ in range(4)]
for thread in threads:
    thread.start()
for number in range(40):
    work.put(number)
for _ in threads:
    work.put(None)
for thread in threads:
    thread.join()
with tempfile.TemporaryFile() as file:
    file.write(b"".join(sorted(done)))
print(subprocess.run(["sort", "-u", "names"], input=b"", stderr=subprocess.DEVNULL).returncode)
print(subprocess.run("cat text | wc -l", shell=True, capture_output=True, check=True).stdout)
sleeper = subprocess.Popen(["sleep", "30"])
sleeper.send_signal(signal.SIGTERM)
print(sleeper.wait(), len(done))
sys.exit(3)
