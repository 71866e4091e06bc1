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

import advice
import gstreamer
import media
from authority import Authority
from ffplay import Ffplay
from front import Front
from home import FFMPEG_9, NGINX
from obs import Obs
from program import Failed, Program, attempt, free_port, until
from screen import Screen
from server import Server
from store import Store


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


def obs_over_rtmps(folder, pattern):
    """OBS ═TLS═► server-1 ═TLS═► server-2, as soon as OBS knows who vouches for server-1. A player at each gets the same, and it is
    what OBS has recorded of itself."""
    authority = Authority(folder / "authority")
    store = Store(folder, Authority(folder / "stranger"))
    server2 = Server("server-2", folder, authority=authority)
    server1 = Server("server-1", folder, [server2], authority=authority)
    players = [media.Player(f"player-{server.name}", folder, f"{server.app}/x", authority.trusted) for server in (server1, server2)]
    for player in players:
        player.joins(20)
    desk = Screen("screen", folder, "1280x800")
    try:
        # Its mbedTLS compares names only, not addresses.
        obs = Obs(folder, desk.display, pattern, server1.app.replace("127.0.0.1", "localhost"), "x", store.inside)
        server1.says("the peer ended the TLS handshake: UnknownCA", 60)
        store.trust(authority)
        obs.records()
        obs.ask("StartStream")
        obs.awaits("5 s of stream", lambda: obs.frames()[0] >= 5 * media.RATE, 60)
    finally:
        desk.picture().save(folder / "obs.png")
    obs.ask("StopStream")
    recorded = media.read(obs.recording())
    at1, at2 = (player.packets(20) for player in players)
    offset = media.identical(players[1].name, at1, at2)
    # OBS puts a note (SEI) into the first picture of each output.
    if not at2[0].key or len(media.payloads(at2, "video")) < 5 * media.RATE:
        raise Failed(f"of five seconds from a key frame on, {len(at2)} packets received, the first of them {at2[0]}")
    for kind, received in [("video", at2[1:]), ("audio", at2)]:
        media.missing(players[1].name, kind, recorded, received)
    stop(server1, server2)
    return [f"refused a stranger's certificate; then all {len(at2)} packets at both servers, times off by {offset} ms, and in OBS's own recording"]


def gstreamer_over_rtmps(folder, pattern):
    """rtmp2sink ═TLS═► server-1 ═TLS═► server-2 ═TLS═► rtmp2src and ffprobe, each of them verifying the one it connects to."""
    authority = Authority(folder / "authority")
    store = Store(folder, authority)
    server2 = Server("server-2", folder, authority=authority)
    server1 = Server("server-1", folder, [server2], authority=authority)
    refuses(Program("stranger", gstreamer.publishing(pattern, f"{server1.app}/x"), folder), "Unacceptable TLS certificate")
    refuses(Program("stranger-2", gstreamer.saving(f"{server2.app}/x", "/dev/null"), folder), "Unacceptable TLS certificate")
    saved = folder / "saved.flv"
    saver = Program("saver", [*store.inside, *gstreamer.saving(f"{server2.app}/x", saved)], folder)
    server2.says(r'playing started\b.*\bstream="?live/x', 20)
    player = media.Player("player", folder, f"{server2.app}/x", authority.trusted)
    player.joins(20)
    Program("publisher", [*store.inside, *gstreamer.publishing(pattern, f"{server1.app}/x")], folder).ends(media.SECONDS + 30)
    sent, received = media.read(pattern), player.packets(20)

    def published():
        """The sink has times of its own, and the relay leaves out what it sends before the first key frame."""
        video, audio = (media.missing(player.name, kind, sent, received) for kind in ("video", "audio"))
        if video != (0, 0) or audio[0] > 3 or audio[1]:
            raise Failed(f"packets missing at the beginning and at the end: video {video}, audio {audio}")
        return f"{len(sent) - audio[0]} of {len(sent)} packets, {audio[0]} before the first key frame left out"

    def played():
        """The source loses the last packet, whoever the server is."""
        saver.ends(20)
        got = media.read(saved)
        lost = len(received) - len(got)
        if lost not in (0, 1):
            raise Failed(f"{len(got)} packets saved, of {len(received)} that ffprobe got")
        offset = media.identical(saver.name, received[:len(got)], got)
        stop(server1, server2)
        return f"{len(got)} of {len(received)} packets identical, times off by {offset} ms, {lost} lost at the end by rtmp2src itself"
    return [attempt(published), attempt(played)]


def ffmpeg_9_over_rtmps(folder, pattern):
    """ffmpeg 9, which verifies unless it is told not to, ═TLS═► server-1 ═TLS═► server-2 ═TLS═► ffprobe."""
    authority = Authority(folder)
    server2 = Server("server-2", folder, authority=authority)
    server1 = Server("server-1", folder, [server2], authority=authority)
    refuses(media.Publisher(folder, pattern, f"{server1.app}/x", program=FFMPEG_9, name="stranger"), "certificate verify failed")
    player = media.Player("player", folder, f"{server2.app}/x", authority.trusted)
    player.joins(20)
    publisher = media.Publisher(folder, pattern, f"{server1.app}/x", ["-ca_file", authority.ca], program=FFMPEG_9)
    publisher.ends(media.SECONDS + 30)
    figures = all_identical(media.read(pattern), [player])
    stop(server1, server2)
    return [figures]


def through_a_front(folder, pattern):
    """ffmpeg → server-1 ═TLS═► nginx → server-2 → ffprobe."""
    authority = Authority(folder)
    server2 = Server("server-2", folder)
    front = Front("front", folder, server2, authority.certificate)
    server1 = Server("server-1", folder, [front], trusts=authority)
    player = media.Player("player", folder, f"{server2.app}/x")
    player.joins(20)
    publisher = media.Publisher(folder, pattern, f"{server1.app}/x")
    publisher.ends(media.SECONDS + 30)
    figures = all_identical(media.read(pattern), [player])
    stop(server1, server2)
    return [figures]


def front_with_a_wrong_certificate(folder, pattern):
    """The same, but the front shows a certificate for another host first, then one that a stranger vouches for: the destination's
    status says so. As soon as it shows the right one, the stream goes there."""
    authority, stranger = Authority(folder / "authority"), Authority(folder / "stranger")
    server2 = Server("server-2", folder)
    front = Front("front", folder, server2, authority.certify("other", "DNS:another.host"))
    server1 = Server("server-1", folder, [front], trusts=authority, on_terminal=True)
    publisher = Program("publisher", [Server.binary, "publish", pattern, f"{server1.app}/x", "--loop"], folder)
    server1.says_of_its_destination("rejected", "the certificate is not for 127.0.0.1 but for another.host", 30)
    front = front.again("front-2", stranger.certificate)
    server1.says_of_its_destination("rejected", "the certificate's issuer is unknown", 60)
    front.again("front-3", authority.certificate)
    server1.says_of_its_destination("live", "", 90)
    server2.publishing("x", 20)
    publisher.kill()
    stop(server1, server2)
    return ["rejected for its name, then for its issuer, both in its status; live with the right one"]


def what_streams_deserve(folder, pattern):
    """Six streams to the limits of eleven platforms: each is told what it deserves, and sent where it is not refused."""
    films = advice.films(folder)
    sink, api = Server("sink", folder), f"127.0.0.1:{free_port()}"
    relay = Server("relay", folder, options=["--config", advice.config(folder / "relay.yaml", sink), "--api-listen", api])
    # Rates are those of the stream's own time: four times as fast, it is told four times as soon.
    for name, film in films.items():
        words = [Server.binary, "publish", film, f"{relay.app}/{name}", "--loop", "--speed", "4"]
        Program(f"publisher-{name}", words, folder)
    api = f"http://{api}"
    try:
        until("deserved advice", lambda: advice.deserved(api), 90)
        # And nothing else as time goes by.
        time.sleep(5)
        until("lasting advice", lambda: advice.deserved(api), 5)
    except Failed:
        advice.differences(api)
    streams = advice.told(api)[2]
    if not streams["b-frames"]["video"]["b_frames"] or streams["good"]["video"]["b_frames"]:
        raise Failed("B frames are not told from none")
    said = sum(len(at) for at in advice.DESERVED.values())
    return [f"{len(films)} streams at {len(advice.PLATFORMS)} platforms: {said} pieces of advice, none too many"]


def refuses(program, words):
    """Waits until a program has ended in vain, saying these words."""
    program.says(words, 30)
    until(f"end of {program.name}", lambda: program.process.poll() is not None, 20)
    if program.process.returncode == 0:
        raise Failed(f"{program.name} says {words!r} and ends as if all were well")


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
    (obs_over_rtmps, ["obs-over-rtmps"], ["obs", "Xvfb", "ffmpeg", "ffprobe", "openssl", "unshare"]),
    (gstreamer_over_rtmps, ["rtmp2sink-over-rtmps", "rtmp2src-over-rtmps"],
     ["gst-launch-1.0", "ffmpeg", "ffprobe", "openssl", "unshare"]),
    (ffmpeg_9_over_rtmps, ["ffmpeg-9-over-rtmps"], [FFMPEG_9, "ffmpeg", "ffprobe", "openssl"]),
    (through_a_front, ["through-a-tls-front"], [NGINX, "ffmpeg", "ffprobe", "openssl"]),
    (what_streams_deserve, ["what-streams-deserve"], ["ffmpeg"]),
    (front_with_a_wrong_certificate, ["front-with-a-wrong-certificate"], [NGINX, "ffmpeg", "openssl"]),
]


def outcomes(case, names, needs, folder):
    """What became of a case: for each of its names the figures, or the failure."""
    try:
        if missing := [program for program in [Server.binary, "setpriv", *needs] if not shutil.which(program)]:
            raise Failed(f"MISSING PROGRAM: {', '.join(map(str, missing))} (run: just setup, cargo build --release)")
        folder.mkdir()
        pattern = folder.parent / "pattern.flv"
        if not pattern.exists():  # the same for all cases; whole, or not there
            media.encode(folder / "pattern.flv")
            (folder / "pattern.flv").rename(pattern)
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
