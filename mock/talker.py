"""Writes, reads and copies files, talks over sockets, starts children; prints what it did as one JSON object."""

import json
import os
import socket
import subprocess
import sys
import threading

directory = sys.argv[1]
data = os.path.join(directory, "data.txt")
fd = os.open(data, os.O_WRONLY | os.O_CREAT, 0o600)
for _ in range(3):
    os.write(fd, b"x" * 100)
os.close(fd)
fd = os.open(data, os.O_RDONLY)
os.read(fd, 4096)
os.read(fd, 4096)
copy = os.open(os.path.join(directory, "copy.txt"), os.O_WRONLY | os.O_CREAT, 0o600)
os.sendfile(copy, fd, 0, 250)
os.close(copy)
os.close(fd)
for _ in range(2):
    try:
        os.open(os.path.join(directory, "missing"), os.O_RDONLY)
    except FileNotFoundError:
        pass

listener = socket.create_server(("127.0.0.1", 0))
address = listener.getsockname()


def serve():
    connection, _ = listener.accept()
    connection.sendall(connection.recv(100) * 3)
    connection.close()


server = threading.Thread(target=serve)
server.start()
with socket.create_connection(address) as client:
    own = client.getsockname()
    client.sendall(b"hello")
    client.recv(100, socket.MSG_WAITALL)
server.join()
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.sendto(b"0123456789", ("127.0.0.1", 9))
local = socket.socket(socket.AF_UNIX)
try:
    local.connect(os.path.join(directory, "nobody"))
except FileNotFoundError:
    pass

child = subprocess.Popen(["sh", "-c", "/bin/true; exit 3"])
child.wait()
killed = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
killed.stdin.write(b"\n")
killed.stdin.flush()
killed.stdout.read(1)
killed.kill()
killed.wait()
print(
    json.dumps(
        {
            "pid": os.getpid(),
            "server": f"127.0.0.1:{address[1]}",
            "client": f"127.0.0.1:{own[1]}",
            "child": child.pid,
            "killed": killed.pid,
        }
    )
)
