#!/usr/bin/env python3
"""End-to-end tests of the built relay with real programs: one line per case, with its figures.

Logs and screenshots of a failed run stay in the folder that the last line names.
"""
import argparse
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

import media
from authority import Authority
from ffplay import Ffplay
from obs import Obs
from program import Failed, Program, attempt
from screen import Screen
from server import Server


def obs_to_ffplay(folder, pattern):
    """OBS → server-1 → server-2 → ffplay, whose window shows the pattern, moving and in its right colours."""
    server2 = Server("server-2", folder)
    server1 = Server("server-1", folder, [server2])
    desk, wall = Screen("screen-obs", folder, "1280x800"), Screen("screen-ffplay", folder, "640x360")
    obs = Obs(folder, desk.display, pattern, server1.app, "obs")
    try:
        server1.publishing("obs", 60)
        server2.publishing("obs", 10)
        ffplay = Ffplay(folder, wall.display, f"{server2.app}/obs")
        (first, first_at), (second, second_at) = wall.moves(ffplay, media.FRAMES)
        seconds = second_at - first_at
        first.save(folder / "ffplay-1.png")
        second.save(folder / "ffplay-2.png")
    finally:
        desk.picture().save(folder / "obs.png")
        wall.picture().save(folder / "ffplay-last.png")

    sent, dropped, skipped, lagged = obs.frames()
    obs.ask("StopStream")
    server1.published("obs", 10)
    server2.published("obs", 10)
    ffplay.ends(20)
    stop(server1, server2)
    if (skew := abs(ffplay.skew())) >= 0.3:
        raise Failed(f"|A-V| is {skew} s")
    if dropped:
        raise Failed(f"OBS dropped {dropped} of {sent} frames")
    return [f"frame {first.number()} and {seconds:.2f} s later {second.number()}, |A-V| {skew:.3f} s, "
            f"first picture after {first_at - ffplay.started_at:.2f} s; "
            f"OBS sent {sent} frames, dropped {dropped}, skipped {skipped}, lagged {lagged}"]


def identical_at_five(folder, pattern):
    """ffmpeg → server-1 → five servers with a player each, which gets every packet of the file and no other."""
    source, destinations, players, publisher = fan_out(folder, pattern)
    publisher.ends(media.SECONDS + 30)
    figures = all_identical(media.read(pattern), players)
    stop(source, *destinations)
    return [figures]


def one_of_five_killed(folder, pattern):
    """As before, but one of the five is killed and started again: the others lose nothing, and it gets the stream again."""
    source, destinations, players, publisher = fan_out(folder, pattern)
    victim, its_player = destinations.pop(2), players.pop(2)
    publisher.awaits("4 s of the file", lambda: publisher.position() >= 4, 20)
    victim.kill()
    its_player.kill()
    publisher.awaits("5 s of the file", lambda: publisher.position() >= 5, 20)

    def restart():
        again = Server(f"{victim.name}-again", folder, port=victim.port)
        again.publishing("x", 10)
        seconds = time.monotonic() - again.listening_at
        return again, seconds, media.Player("player-late", folder, f"{again.app}/x")
    restarted = attempt(restart)
    publisher.ends(media.SECONDS + 30)
    sent = media.read(pattern)

    def others_lost_nothing():
        figures = all_identical(sent, players)
        stop(source, *destinations)
        return f"at the four others {figures}"

    def restarted_has_the_stream():
        if isinstance(restarted, Failed):
            raise restarted
        again, seconds, player = restarted
        received = player.packets(20)
        if not received or not (received[0].kind == "video" and received[0].key):
            raise Failed(f"the player's first packet is {received[:1]}, not a key frame")
        joined = next((n for n, packet in enumerate(sent) if packet.data == received[0].data), len(sent))
        media.identical(player.name, sent[joined:], received)
        stop(again)
        return (f"live {seconds:.2f} s after its port was open; a player got the key frame of {sent[joined].dts / 1000:.0f} s "
                f"first, then all {len(received) - 1} packets to the end")
    return [attempt(others_lost_nothing), attempt(restarted_has_the_stream)]


def identical_over_rtmps(folder, pattern):
    """ffmpeg ═TLS═► server-1 ═TLS═► server-2 ═TLS═► ffprobe, each of them verifying the one it connects to."""
    authority = Authority(folder)
    server2 = Server("server-2", folder, authority=authority)
    server1 = Server("server-1", folder, [server2], authority=authority)
    player = media.Player("player", folder, f"{server2.app}/x", authority.trusted)
    player.joins(20)
    publisher = media.Publisher(folder, pattern, f"{server1.app}/x", authority.trusted)
    publisher.ends(media.SECONDS + 30)
    figures = all_identical(media.read(pattern), [player])
    stop(server1, server2)
    return [figures]


def fan_out(folder, pattern):
    """Starts ffmpeg → server-1 → five servers, with a player already waiting at each of the five."""
    destinations = [Server(f"server-{n}", folder) for n in range(2, 7)]
    source = Server("server-1", folder, destinations)
    players = [media.Player(f"player-{server.name}", folder, f"{server.app}/x") for server in destinations]
    for player in players:
        player.joins(20)
    return source, destinations, players, media.Publisher(folder, pattern, f"{source.app}/x")


def all_identical(sent, players):
    """Compares what each player got with what was sent."""
    offsets = [media.identical(player.name, sent, player.packets(20)) for player in players]
    video = sum(packet.kind == "video" for packet in sent)
    return (f"0 of {len(sent)} packets missing ({video} video, {len(sent) - video} audio), all in order, "
            f"times off by {', '.join(map(str, offsets))} ms")


def stop(*servers):
    """Ends servers as an operator would; they close and exit with 0."""
    for server in servers:
        server.stop(signal.SIGTERM, 10)


# Each case's names, one per line it prints, and the programs it needs.
CASES = [
    (obs_to_ffplay, ["obs-to-ffplay"], ["obs", "Xvfb", "ffplay", "ffmpeg"]),
    (identical_at_five, ["identical-at-five"], ["ffmpeg", "ffprobe"]),
    (identical_over_rtmps, ["identical-over-rtmps"], ["ffmpeg", "ffprobe", "openssl"]),
    (one_of_five_killed, ["one-killed", "one-restarted"], ["ffmpeg", "ffprobe"]),
]


def outcomes(case, names, needs, folder):
    """What became of a case: for each of its names the figures, or the failure."""
    try:
        if missing := [program for program in [Server.binary, "setpriv", *needs] if not shutil.which(program)]:
            raise Failed(f"MISSING PROGRAM: {', '.join(missing)} (run: just setup, cargo build --release)")
        folder.mkdir()
        pattern = folder / "pattern.flv"
        media.encode(pattern)
        return case(folder, pattern)
    except Failed as failed:
        return [failed] * len(names)
    except Exception as error:  # a defect of the test, or an answer that it cannot read
        traceback.print_exc()
        return [Failed(repr(error))] * len(names)
    finally:
        Program.kill_all()


def version(*command):
    """The first line a program says about itself."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20).stdout.splitlines()[0]
    except (OSError, IndexError, subprocess.TimeoutExpired):
        return f"{command[0]} (no version)"


def main():
    known = [name for _, names, _ in CASES for name in names]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--relay", default=Server.binary, help="the program under test (default: %(default)s)")
    parser.add_argument("--keep", action="store_true", help="keep the folder of a run that passed, too")
    parser.add_argument("names", nargs="*", metavar="CASE", help=f"only these: {', '.join(known)}")
    options = parser.parse_args()
    if unknown := set(options.names) - set(known):
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    Server.binary = options.relay
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts with it ignored
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))

    print("programs:", version(Server.binary, "--version"), "|", version("obs", "--version"), "|",
          version("ffmpeg", "-version").split(" Copyright")[0], "| Python", sys.version.split()[0], flush=True)
    run = pathlib.Path(tempfile.mkdtemp(prefix="rtmp-relay-e2e-"))
    passed = failed = 0
    try:
        for case, names, needs in CASES:
            if options.names and not set(options.names) & set(names):
                continue
            started = time.monotonic()
            results = outcomes(case, names, needs, run / case.__name__)
            for name, result in zip(names, results, strict=True):
                bad = isinstance(result, Failed)
                passed, failed = passed + (not bad), failed + bad
                print(f"{'FAIL' if bad else 'PASS'} {name}: {result} [{time.monotonic() - started:.0f} s]", flush=True)
    finally:
        if failed or options.keep or sys.exc_info()[0]:
            print(f"logs and screenshots: {run}")
        else:
            shutil.rmtree(run)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
