"""The cells of the matrix: what each program does with a film, with server-1 and server-2 between it and the other end."""
import signal
import typing

import films
import media
import players
import publishers
import servers
import tracks
from obs import Obs
from ffplay import Ffplay
from program import Failed
from screen import Screen
from server import Server


class Cell(typing.NamedTuple):
    """One program in one role with one pair of codecs; `run` gives the figures or fails."""

    programs: tuple
    role: str
    codecs: str
    run: typing.Callable
    what: str = ""  # which part of the program

    def name(self):
        """Its first program, and the part of it."""
        return f"{self.programs[0].split()[0]} {self.what}".strip()


def pair(folder, *destinations):
    """server-1, which relays to server-2."""
    server2 = Server("server-2", folder, destinations)
    return Server("server-1", folder, [server2]), server2


def stop(*them):
    """Ends servers as an operator would; they close and exit with 0."""
    for server in them:
        server.stop(signal.SIGTERM, 10)


def publishes(publisher):
    """The program → server-1 → server-2 → ffmpeg 9: every packet."""
    def run(folder, film):
        server1, server2 = pair(folder)
        receiver = waiting(server2, lambda: players.Ffmpeg9(folder, f"{server2.app}/x"))
        publisher(folder, film, f"{server1.app}/x").done()
        got = receiver.received(film.tracks)
        stop(server1, server2)
        return tracks.identical(film.tracks, got)
    return run


def publishes_pictures(publisher):
    """The program, which puts its own parameter sets into each key frame, → server-1 → server-2 → ffmpeg 5: every picture."""
    def run(folder, film):
        server1, server2 = pair(folder)
        receiver = waiting(server2, lambda: players.Copy(folder, f"{server2.app}/x"))
        publisher(folder, film, f"{server1.app}/x").done()
        receiver.ends(players.LIMIT)
        stop(server1, server2)
        return tracks.same_pictures(tracks.pictures(film.path), tracks.pictures(receiver.file))
    return run


def plays(player, tail=0):
    """ffmpeg → server-1 → server-2 → the program: every packet, but for `tail` that the program itself may lose at the end."""
    def run(folder, film):
        server1, server2 = pair(folder)
        program = waiting(server2, lambda: player(folder, f"{server2.app}/x"))
        publishers.Ffmpeg(folder, film, f"{server1.app}/x").done()
        got = program.received(film.tracks)
        stop(server1, server2)
        return tracks.identical(film.tracks, got, tail)
    return run


def is_relayed_to(server, publisher=publishers.Ffmpeg):
    """ffmpeg → server-1 → server-2 → the server: every packet."""
    def run(folder, film):
        destination = server(folder)
        server1, server2 = pair(folder, destination)
        publisher(folder, film, f"{server1.app}/x").done()
        server2.published("x", 20)
        got = destination.received(film.tracks)
        stop(server1, server2)
        return tracks.identical(film.tracks, got)
    return run


def waiting(server, start):
    """A player that is already there when the stream begins."""
    player = start()
    server.says(r'playing started\b.*\bstream="?live/x', 30)
    return player


def two_players(folder, server1, server2):
    """ffmpeg 9 at each of both servers: what the second gets is compared with what the first does."""
    return [waiting(server, lambda: tracks.Receiver(folder, f"{server.app}/x", name=f"player-{server.name}",
                                                    options=["-rtmp_live", "live"])) for server in (server1, server2)]


def publishes_its_own(publisher, remuxes=False):
    """A program whose times and configuration are its own (and its packets, unless it only `remuxes`): server-2's player gets
    what server-1's does, and no packet fewer than the film's pictures."""
    def run(folder, film):
        server1, server2 = pair(folder)
        readers = two_players(folder, server1, server2)
        publisher(folder, film, f"{server1.app}/x").done()
        sent, got = (reader.tracks(players.LIMIT) for reader in readers)
        stop(server1, server2)
        early = tracks.same_payloads(film.tracks, got) if remuxes else 0
        pictures = [len(track.packets) for track in got if track.codec == "h264"]
        if pictures != [films.SECONDS * media.RATE]:
            raise Failed(f"{films.SECONDS * media.RATE} pictures in the film, received {tracks.packets(got) or 'nothing'}")
        return tracks.identical(sent, got) + (f"; {early} before the first key frame left out" if early else "")
    return run


def obs(folder, film):
    """OBS → server-1 → server-2, for five seconds: a player at each of both gets the same."""
    server1, server2 = pair(folder)
    readers = two_players(folder, server1, server2)
    desk = Screen("screen", folder, "1280x800")
    program = Obs(folder, desk.display, film.path, server1.app, "x")
    server1.publishing("x", 60)
    program.awaits("5 s of stream", lambda: program.frames()[0] >= 5 * media.RATE, 30)
    program.ask("StopStream")
    sent, got = (reader.tracks(players.LIMIT) for reader in readers)
    stop(server1, server2)
    if max((len(track.packets) for track in got if track.codec == "h264"), default=0) < 5 * media.RATE:
        raise Failed(f"of five seconds, received {tracks.packets(got) or 'nothing'}")
    return tracks.identical(sent, got)


def shows(player):
    """ffmpeg → server-1 → server-2 → the program, whose window shows the pattern, moving and in its right colours."""
    def run(folder, film):
        server1, server2 = pair(folder)
        wall = Screen("screen", folder, "640x360")
        try:
            program = waiting(server2, lambda: player(folder, f"{server2.app}/x", wall.display))
            publisher = publishers.Ffmpeg(folder, film, f"{server1.app}/x")
            (first, first_at), (second, second_at) = wall.moves(program, films.SECONDS * media.RATE)
        finally:
            wall.picture().save(folder / "last.png")
        publisher.done()
        program.ends(players.LIMIT)
        stop(server1, server2)
        return f"on screen picture {first.number()} and {second_at - first_at:.1f} s later {second.number()}"
    return run


def ffplay(folder, url, display):
    """ffplay, its arguments in this order."""
    return Ffplay(folder, display, url)


def vlc_saves(folder, film):
    """ffmpeg → server-1 → server-2 → VLC, which saves the stream: every picture of it."""
    server1, server2 = pair(folder)
    program = waiting(server2, lambda: players.VlcSaver(folder, f"{server2.app}/x"))
    publishers.Ffmpeg(folder, film, f"{server1.app}/x").done()
    program.ends(players.LIMIT)
    stop(server1, server2)
    return tracks.same_pictures(tracks.pictures(film.path), tracks.pictures(program.file))


H264 = "H.264/AAC"
CELLS = [
    Cell(("OBS",), "publishes", H264, obs),
    Cell(("ffmpeg 5",), "publishes", H264, publishes(publishers.Ffmpeg)),
    Cell(("ffmpeg 9",), "publishes", H264, publishes(publishers.Ffmpeg9)),
    Cell(("GStreamer",), "publishes", H264, publishes_its_own(publishers.Gst, remuxes=True), "rtmp2sink"),
    Cell(("GStreamer",), "publishes", H264, publishes_its_own(publishers.GstLegacy, remuxes=True), "rtmpsink"),
    Cell(("VLC",), "publishes", H264, publishes_pictures(publishers.Vlc)),
    Cell(("mpv",), "publishes", H264, publishes_its_own(publishers.Mpv)),
    Cell(("ffmpeg 5",), "plays", H264, plays(players.Ffmpeg)),
    Cell(("ffplay 5", "ffmpeg 5"), "plays", H264, shows(ffplay)),
    Cell(("GStreamer", "ffmpeg 5"), "plays", H264, plays(players.Gst, tail=1), "rtmp2src"),  # so it does with ffmpeg as the server
    Cell(("GStreamer", "ffmpeg 5"), "plays", H264, plays(players.GstLegacy), "rtmpsrc"),
    Cell(("rtmpdump", "ffmpeg 5"), "plays", H264, plays(players.Rtmpdump)),
    Cell(("VLC", "ffmpeg 5"), "plays", H264, shows(players.Vlc)),
    Cell(("VLC", "ffmpeg 5"), "plays", H264, vlc_saves),
    Cell(("mpv", "ffmpeg 5"), "plays", H264, shows(players.Mpv)),
    Cell(("nginx", "ffmpeg 5"), "is relayed to", H264, is_relayed_to(servers.Nginx), "rtmp"),
    Cell(("node-media-server", "Node.js", "ffmpeg 5"), "is relayed to", H264, is_relayed_to(servers.NodeMediaServer)),
    Cell(("ffmpeg 5",), "is relayed to", H264, is_relayed_to(servers.Listener), "-listen 1"),
    Cell(("ffmpeg 9",), "is relayed to", H264, is_relayed_to(servers.Listener9), "-listen 1"),
    *[Cell(("ffmpeg 5",), "publishes", codecs, publishes(publishers.Ffmpeg)) for codecs in ("H.264/MP3", "Sorenson/MP3", "Screen/Speex")],
    *[Cell(("ffmpeg 9",), "publishes", codecs, publishes(publishers.Ffmpeg9))
      for codecs in ("HEVC/AAC", "AV1/Opus", "VP9/Opus", "H.264/FLAC", "H.264/AC-3", films.TWO)],
    *[Cell(("node-media-server", "Node.js"), "is relayed to", codecs, is_relayed_to(servers.NodeMediaServer, publishers.Ffmpeg9))
      for codecs in ("HEVC/AAC", "AV1/Opus")],
    *[Cell(("ffmpeg 9",), "is relayed to", codecs, is_relayed_to(servers.Listener9, publishers.Ffmpeg9), "-listen 1")
      for codecs in ("HEVC/AAC", "AV1/Opus", "VP9/Opus")],
]
