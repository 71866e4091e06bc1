"""A program under the test's control: it logs to files, has a deadline for everything, and is ended by its own pid."""
import os
import random
import re
import signal
import socket
import subprocess
import time

from terminal import terminal


class Failed(Exception):
    """What was found wrong, in one line."""


def until(what, condition, limit):
    """The first true value of `condition`; polls, and fails after `limit` seconds."""
    end = time.monotonic() + limit
    while not (value := condition()):
        if time.monotonic() > end:
            raise Failed(f"no {what} within {limit} s")
        time.sleep(0.01)
    return value


def attempt(step):
    """What `step` gives, or the Failed it raises: for a case that goes on."""
    try:
        return step()
    except Failed as failed:
        return failed


def free_port():
    """A free port on 127.0.0.1, below the range from which the kernel takes ports for outgoing connections."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


def listening(*ports):
    """Whether somebody listens on all these ports of 127.0.0.1; asked of the kernel, since a trial connection would be a client."""
    with open("/proc/net/tcp") as table:
        rows = [row.split() for row in table]
    return {f"0100007F:{port:04X}" for port in ports} <= {row[1] for row in rows if row[3] == "0A"}


class Program:
    """One process in a session of its own, with stdout in NAME.out and stderr, which may be a terminal, in NAME.log."""

    started = []
    privileges = []  # what setpriv is told to take away

    def __init__(self, name, argv, folder, on_terminal=False, **env):
        self.name, self.folder = name, folder
        self.log, self.out = folder / f"{name}.log", folder / f"{name}.out"
        with terminal(self.log) if on_terminal else self.log.open("wb") as stderr, self.out.open("wb") as stdout:
            # Should the test itself be killed, the kernel ends the program too.
            self.process = subprocess.Popen(
                ["setpriv", *self.privileges, "--pdeathsig", "KILL", *map(str, argv)], env={**os.environ, **env},
                stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True)
        self.started_at = time.monotonic()
        self.started.append(self)

    def awaits(self, what, condition, limit):
        """The first true value of `condition`, which the program brings about; fails at once if it ends without."""
        def checked():
            ended = self.process.poll() is not None
            value = condition()
            if ended and not value:
                raise Failed(f"{self.name} ended (exit code {self.process.returncode}): no {what}")
            return value
        return until(f"{what} from {self.name}", checked, limit)

    def says(self, pattern, limit):
        """The first match of `pattern` in the log, awaited."""
        return self.awaits(f"/{pattern}/", lambda: re.search(pattern, self.log.read_text(errors="replace")), limit)

    def ends(self, limit):
        """Waits for the program to end by itself with exit code 0."""
        try:
            code = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} did not end within {limit} s") from None
        if code != 0:
            raise Failed(f"{self.name} ended with exit code {code}")

    def stop(self, sig, limit):
        """Asks the program to end, and wants exit code 0."""
        if self.process.poll() is not None:
            raise Failed(f"{self.name} had already ended, exit code {self.process.returncode}")
        self.process.send_signal(sig)
        self.ends(limit)

    def kill(self):
        """Ends the program and its children at once."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    @classmethod
    def kill_all(cls, folder=None):
        """Ends whatever still runs, the newest first; only what logs to `folder`, if one is given."""
        for program in [program for program in reversed(cls.started) if folder in (None, program.folder)]:
            program.kill()
            cls.started.remove(program)
