#!/usr/bin/env python3
"""Does what docs/start.md says, command by command, with a relay of ours in place of each platform.

A block ```sh is run to its end; one ```sh stays is a program that stays. Host names of platforms are replaced by addresses of
this machine, on the port that is RTMP's; nothing else is.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "e2e"))
from program import Failed, Program, until  # noqa: E402

PLATFORMS = {"a.rtmp.youtube.com": "127.0.0.2", "live.twitch.tv": "127.0.0.3", "ingest.kick.example": "127.0.0.4"}


def blocks(page):
    """The commands of a page: whether they stay, and their text."""
    found = re.findall(r"^```sh( stays)?\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return [(bool(stays), text) for stays, text in found]


class Reader:
    """Somebody who types what the page says."""

    def __init__(self, home):
        self.home, self.folder, self.stay = home, looks_like_a_clone(home), []
        self.env = {"HOME": str(home), "CARGO_INSTALL_ROOT": str(home / "installed"),
                    "PATH": f"{home / 'installed' / 'bin'}:{os.environ['PATH']}"}
        # Rust is where it was.
        for name, default in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")]:
            self.env[name] = os.environ.get(name, str(pathlib.Path.home() / default))
        self.env["CARGO_TARGET_DIR"] = str(ROOT / "target")

    def types(self, text):
        """Runs a block to its end; the folder it ends in is where the next begins."""
        script = f"set -euo pipefail\ncd '{self.folder}'\n{text}\npwd > '{self.home}/pwd'\n"
        done = subprocess.run(["bash", "-c", script], env={**os.environ, **self.env}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1200)
        if done.returncode:
            raise Failed(f"{text.strip()!r} ended with {done.returncode}: {done.stdout.strip()[-2000:]}")
        self.folder = pathlib.Path((self.home / "pwd").read_text().strip())
        return done.stdout

    def starts(self, text):
        """Starts a block that stays."""
        name = f"stays-{len(self.stay)}"
        argv = ["bash", "-c", f"cd '{self.folder}' && exec {text.strip()}"]
        self.stay.append(Program(name, argv, self.home, **self.env))
        return self.stay[-1]


def looks_like_a_clone(home):
    """A folder that looks like the clone and may be written to."""
    clone = home / "clone"
    clone.mkdir()
    for entry in ROOT.iterdir():
        if entry.name not in (".git", "target"):
            (clone / entry.name).symlink_to(entry)
    return clone


def listens(server):
    """Waits until a server is there."""
    server.awaits("a listener", lambda: "listens on" in server.out.read_text(), 30)


def recorded(folder):
    """Bytes of the recordings in a folder."""
    return sum(file.stat().st_size for file in folder.glob("*.flv*")) if folder.exists() else 0


def run(home):
    page = (ROOT / "docs" / "start.md").read_text()
    for host, address in PLATFORMS.items():
        if host not in page:
            raise Failed(f"the page does not name {host}")
        page = page.replace(host, address)
    reader, platforms, printed = Reader(home), {}, ""
    for stays, text in blocks(page):
        if stays:
            program = reader.starts(text)
            if "serve" in text:
                listens(program)
        else:
            printed += reader.types(text)
        if "cargo install" in text:
            relay = home / "installed" / "bin" / "rtmp-relay"
            for host, address in PLATFORMS.items():
                folder = home / address
                argv = [relay, "serve", "--listen", f"{address}:1935", "--record-all", "--record-dir", folder]
                listens(Program(address, argv, home))
                platforms[host] = folder
    relay, encoder = reader.stay
    relay.says("added kick; 2 destinations unchanged", 20)
    for host, folder in platforms.items():
        until(f"recording at {host}", lambda f=folder: recorded(f) > 100_000, 60)
    look = reader.folder / "look.flv"
    if look.stat().st_size < 10_000:
        raise Failed(f"{look.name} has {look.stat().st_size} bytes")
    for program in (encoder, relay):
        program.process.terminate()
        program.ends(20)
    everything = printed + "".join(p.log.read_text() + p.out.read_text() for p in reader.stay)
    if "paste-your" in everything:
        raise Failed("a key was printed")
    return f"{len(blocks(page))} blocks of commands; three platforms have been sent to"


def main():
    home = pathlib.Path(tempfile.mkdtemp(prefix="rtmp-relay-guide-"))
    try:
        print(f"PASS guide: {run(home)}")
    except Failed as failed:
        print(f"FAIL guide: {failed}\nwhat was said is in {home}")
        for program in Program.started:
            print(f"--- {program.name}\n{program.log.read_text(errors='replace')[-2000:]}")
        sys.exit(1)
    finally:
        for program in Program.started:
            if program.process.poll() is None:
                program.process.kill()
                program.process.wait()
    shutil.rmtree(home)


if __name__ == "__main__":
    main()
