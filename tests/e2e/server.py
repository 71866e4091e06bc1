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
    """`rtmp-relay serve` on a port of its own; with an authority, on one for TLS too, which is the one others use."""

    binary = BINARY

    def __init__(self, name, folder, relay_to=(), port=None, authority=None):
        self.port, self.tls_port = port or free_port(), authority and free_port()
        words = [word for server in relay_to for word in ("--relay-to", server.app)]
        if authority:
            words += ["--tls-listen", f"127.0.0.1:{self.tls_port}", "--tls-cert", authority.certificate,
                      "--tls-key", authority.key, "--ca-file", authority.ca]
        super().__init__(name, [self.binary, "serve", "--listen", f"127.0.0.1:{self.port}", *words,
                                "--log-level", "info"], folder)
        self.awaits("listening port", self.listens, 10)
        self.listening_at = time.monotonic()

    @property
    def app(self):
        """The URL without a stream's name."""
        return f"rtmps://127.0.0.1:{self.tls_port}/live" if self.tls_port else f"rtmp://127.0.0.1:{self.port}/live"

    def listens(self):
        """Whether its ports are open; asked of the kernel, since a trial connection would be one more client."""
        wanted = {f"0100007F:{port:04X}" for port in (self.port, self.tls_port) if port}
        with open("/proc/net/tcp") as table:
            rows = [row.split() for row in table]
        return wanted <= {row[1] for row in rows if row[3] == "0A"}

    def publishing(self, key, limit):
        """Waits until somebody publishes live/KEY here."""
        self.says(STARTED.format(stream=f"live/{key}"), limit)

    def published(self, key, limit):
        """Waits until live/KEY has ended here."""
        self.says(STOPPED.format(stream=f"live/{key}"), limit)
