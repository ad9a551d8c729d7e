"""Asks a name server of its own on the loopback interface, which now and then does not answer.

Prints `ready`, then its truth: the address, or `no answer` and exits 1.
"""

import os
import random
import socket
import struct
import sys

QUESTION = b"\x03www\x07example\x00\x00\x01\x00\x01"
ADDRESS = bytes((192, 0, 2, 1))


def serve(server: socket.socket) -> None:
    query, client = server.recvfrom(512)
    if random.random() < 0.7:
        head = query[:2] + struct.pack(">5H", 0x8180, 1, 1, 0, 0)
        server.sendto(head + QUESTION + b"\xc0\x0c\x00\x01\x00\x01\0\0\0\x3c\0\x04" + ADDRESS, client)


def main() -> int:
    print("ready", flush=True)
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    child = os.fork()
    if child == 0:
        serve(server)
        os._exit(0)
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(0.2)
    client.connect(server.getsockname())
    client.send(struct.pack(">6H", random.randrange(65536), 0x0100, 1, 0, 0, 0) + QUESTION)
    try:
        answer = client.recv(512)
    except TimeoutError:
        print("no answer", flush=True)
        code = 1
    else:
        print(socket.inet_ntoa(answer[-4:]), flush=True)
        code = 0
    os.waitpid(child, 0)
    return code


if __name__ == "__main__":
    sys.exit(main())
