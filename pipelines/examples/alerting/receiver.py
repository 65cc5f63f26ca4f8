"""Listen on a port of this machine for notifications, print each, and end after so many or a minute."""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Listener(BaseHTTPRequestHandler):
    """What every webhook does: take the JSON, answer that it was taken."""

    def do_POST(self) -> None:
        """Print what comes."""
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        print(told["text"], flush=True)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing else."""


if __name__ == "__main__":
    port, wanted = int(sys.argv[1]), int(sys.argv[2])
    with HTTPServer(("127.0.0.1", port), Listener) as server:
        server.timeout = 60
        for _ in range(wanted):
            server.handle_request()
