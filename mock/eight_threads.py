"""Eight threads at a time, each reading files of /proc.

Prints `ready`, then whether the threads have read anything. A thread that is
joined may still be freeing its stack: the pause lets each come to its own
exit, or exit_group would cut some off by chance.
"""

import sys
import threading
import time

read: list[int] = []


def work(number: int) -> None:
    name = f"/proc/self/{('stat', 'status', 'maps', 'limits')[number % 4]}"
    for _ in range(20):
        with open(name, "rb") as file:
            read.append(len(file.read()))


def main() -> int:
    print("ready", flush=True)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    time.sleep(0.2)
    print(sum(read) > 0)
    return int(sys.argv[1]) if len(sys.argv) > 1 else 0


if __name__ == "__main__":
    sys.exit(main())
