"""The relay under test, as a black box: its command line, its ports and its log lines."""
import os
import pathlib
import time

from program import Program, free_port

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
BINARY = os.environ.get("RTMP_RELAY", str(TARGET / "release" / "rtmp-relay"))

STARTED = r'publishing started\b.*\bstream="?{stream}\b'
STOPPED = r'publishing stopped\b.*\bstream="?{stream}\b'


class Server(Program):
    """`rtmp-relay serve` on a port of its own."""

    binary = BINARY

    def __init__(self, name, folder, relay_to=(), port=None):
        self.port = port or free_port()
        destinations = [word for server in relay_to for word in ("--relay-to", server.app)]
        super().__init__(name, [self.binary, "serve", "--listen", f"127.0.0.1:{self.port}", *destinations,
                                "--log-level", "info"], folder)
        self.awaits("listening port", self.listens, 10)
        self.listening_at = time.monotonic()

    @property
    def app(self):
        """The URL without a stream's name."""
        return f"rtmp://127.0.0.1:{self.port}/live"

    def listens(self):
        """Whether the port is open; asked of the kernel, since a trial connection would be one more client."""
        address = f"0100007F:{self.port:04X}"
        with open("/proc/net/tcp") as table:
            return any(row.split()[1] == address and row.split()[3] == "0A" for row in table)

    def publishing(self, key, limit):
        """Waits until somebody publishes live/KEY here."""
        self.says(STARTED.format(stream=f"live/{key}"), limit)

    def published(self, key, limit):
        """Waits until live/KEY has ended here."""
        self.says(STOPPED.format(stream=f"live/{key}"), limit)
