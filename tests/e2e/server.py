"""The relay under test, as a black box: its command line, its ports and its log lines."""
import os
import pathlib
import re
import time

from program import Program, free_port, listening

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
BINARY = os.environ.get("RTMP_RELAY", str(TARGET / "release" / "rtmp-relay"))

STARTED = r'publishing started\b.*\bstream="?{stream}\b'
STOPPED = r'publishing stopped\b.*\bstream="?{stream}\b'


class Server(Program):
    """`rtmp-relay serve` on a port of its own; with an authority, on one for TLS too, which is the one others use.

    It trusts that authority, or the one it is told to trust. On a terminal, its log has the statuses of its destinations.
    """

    binary = BINARY

    def __init__(self, name, folder, relay_to=(), port=None, authority=None, trusts=None, on_terminal=False,
                 options=()):
        self.port, self.tls_port = port or free_port(), authority and free_port()
        words = [word for server in relay_to for word in ("--relay-to", server.app)]
        if authority:
            words += ["--tls-listen", f"127.0.0.1:{self.tls_port}", "--tls-cert", authority.certificate.chain,
                      "--tls-key", authority.certificate.key]
        if trusts := trusts or authority:
            words += ["--ca-file", trusts.ca]
        super().__init__(name, [self.binary, "serve", "--listen", f"127.0.0.1:{self.port}", *words, *options,
                                "--log-level", "info"], folder, on_terminal, NO_COLOR="1")
        self.awaits("listening port", self.listens, 10)
        self.listening_at = time.monotonic()

    @property
    def app(self):
        """The URL without a stream's name."""
        return f"rtmps://127.0.0.1:{self.tls_port}/live" if self.tls_port else f"rtmp://127.0.0.1:{self.port}/live"

    def listens(self):
        """Whether its ports are open."""
        return listening(self.port, *([self.tls_port] if self.tls_port else []))

    def publishing(self, key, limit):
        """Waits until somebody publishes live/KEY here."""
        self.says(STARTED.format(stream=f"live/{key}"), limit)

    def says_of_its_destination(self, state, reason, limit):
        """Waits until the status of its destination is this."""
        self.says(rf"127\.0\.0\.1 +{state} .*live/x.*{re.escape(reason)}", limit)

    def published(self, key, limit):
        """Waits until live/KEY has ended here."""
        self.says(STOPPED.format(stream=f"live/{key}"), limit)
