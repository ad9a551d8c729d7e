#!/usr/bin/env python3
"""A server and its client in one program: exchange.py [TIMES]; one HTTP request and response each, over loopback.

Prints `ready`, then how many bytes of bodies came back, and exits 3.
"""

import http.client
import http.server
import sys
import threading

BODY = b"x" * 1000


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_arguments: object) -> None:
        pass


print("ready", flush=True)
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
came = 0
for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 1):
    client = http.client.HTTPConnection("127.0.0.1", server.server_port)
    client.request("GET", "/body")
    came += len(client.getresponse().read())
    client.close()
print(came, flush=True)
server.shutdown()
sys.exit(3)
