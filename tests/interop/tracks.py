"""The yardstick: what a film consists of, track by track, as ffmpeg 9 reads it from a file or from a server."""
import re
import subprocess
import typing

from installed import FFMPEG_9
from program import Failed, Program


class Track(typing.NamedTuple):
    """One track: its codec, the hash of its configuration, of each packet the dts, pts, size and hash, and how many of its
    packets come before the first of the video."""

    codec: str
    configuration: str
    packets: list
    early: int


OUTPUT = ["-map", "0", "-c", "copy", "-copyts", "-f", "framehash", "-hash", "md5"]


def parse(text):
    """The tracks of audio and video in ffmpeg's list, which has each packet's track, dts, pts, duration, size and hash."""
    def head(name):
        return dict(re.findall(rf"^#{name} (\d+)[:,] *(.*?) *$", text, re.M))
    codecs, configurations, kinds = head("codec_id"), head("extradata"), head("media_type")
    packets, early, pictures = {track: [] for track in codecs}, dict.fromkeys(codecs, 0), False
    for line in text.splitlines():
        fields = line.replace(" ", "").split(",")
        if not line.startswith("#") and len(fields) >= 6:  # the last line of a program that was killed may be cut
            track, dts, pts, _duration, size, data = fields[:6]
            pictures = pictures or kinds[track] == "video"
            early[track] += not pictures
            packets[track].append((int(dts), int(pts), int(size), data))
    found = [Track(codecs[track], configurations.get(track, ""), packets[track], early[track])
             for track in codecs if kinds[track] in ("audio", "video")]
    return sorted(found, key=lambda track: track.codec)


def read(path):
    """The tracks of a file; what is wrong with the file itself shows as packets that are missing."""
    return parse(subprocess.run([FFMPEG_9, "-v", "error", "-nostdin", "-i", path, *OUTPUT, "-"],
                                timeout=60, capture_output=True, text=True).stdout)


def pictures(path):
    """The hash of each picture that a file's video decodes to."""
    decoded = subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-i", path, "-map", "0:v", "-fps_mode", "passthrough",
                              "-f", "framehash", "-hash", "md5", "-"], timeout=60, capture_output=True, text=True).stdout
    return [line.split(",")[-1].strip() for line in decoded.splitlines() if not line.startswith("#")]


def count(tracks):
    """How many packets there are."""
    return sum(len(track.packets) for track in tracks)


def packets(tracks):
    """How many packets there are, in words."""
    return " + ".join(f"{len(track.packets)} {track.codec}" for track in tracks)


def identical(sent, received, tail=0):
    """Figures if both are the same, packet for packet, and all times differ by one number; else fails.

    The relay leaves out what comes before the first key frame. `tail` is how many packets the program itself may lose at
    the end.
    """
    if [track.codec for track in sent] != [track.codec for track in received]:
        raise Failed(f"sent {packets(sent)}, received {packets(received) or 'nothing'}")
    lost, early, offsets = 0, 0, set()
    for one, other in zip(sent, received):
        if one.configuration != other.configuration:
            raise Failed(f"{one.codec}: another configuration: {other.configuration or 'none'}")
        skipped = one.early if [p[2:] for p in one.packets[:1]] != [p[2:] for p in other.packets[:1]] else 0
        want = one.packets[skipped:]
        missing = len(want) - len(other.packets)
        if not 0 <= missing <= tail or any(a[2:] != b[2:] for a, b in zip(want, other.packets)):
            first = next((n for n, (a, b) in enumerate(zip(want, other.packets)) if a[2:] != b[2:]), len(other.packets))
            unseen = {p[2:] for p in want} - {p[2:] for p in other.packets}
            raise Failed(f"{one.codec}: {len(want)} packets sent, {len(other.packets)} received, {len(unseen)} missing, "
                         f"different from packet {first} on")
        lost, early = lost + missing, early + skipped
        offsets |= {b[n] - a[n] for a, b in zip(want, other.packets) for n in (0, 1)}
    if len(offsets) != 1:
        raise Failed(f"times are off by {len(offsets)} different amounts, {min(offsets)} to {max(offsets)} ms")
    return (f"{packets(received)} packets identical, times off by {offsets.pop()} ms"
            + (f"; {early} before the first key frame left out" if early else "")
            + (f"; the last {lost} lost by the program itself" if lost else ""))


def same_payloads(sent, received):
    """How many packets of audio are missing at the beginning, where a muxer may have put them before the first key frame, which
    the relay leaves out: three at most. Otherwise fails unless each track has the same packets, whatever became of times and
    configuration."""
    early = 0
    for one, other in zip(sent, received):
        want, got = ([packet[2:] for packet in track.packets] for track in (one, other))
        missing = len(want) - len(got)
        if not 0 <= missing <= (0 if one.codec == "h264" else 3) or want[missing:] != got:
            raise Failed(f"sent {packets(sent)}, received {packets(received)}, not the same")
        early += missing
    return early


def same_pictures(sent, received):
    """Figures if both lists of decoded pictures are the same; else fails."""
    if sent != received:
        first = next((n for n, (a, b) in enumerate(zip(sent, received)) if a != b), min(len(sent), len(received)))
        raise Failed(f"{len(sent)} pictures sent, {len(received)} received, {len(set(sent) - set(received))} missing, "
                     f"different from picture {first} on")
    return f"{len(sent)} decoded pictures identical"


class Receiver(Program):
    """ffmpeg, writing down what it reads from `source` until that ends; `options` may make it a server."""

    def __init__(self, folder, source, program=FFMPEG_9, name="receiver", options=()):
        super().__init__(name, [program, "-hide_banner", "-nostdin", "-loglevel", "warning", *options, "-i", source,
                                *OUTPUT, "-flush_packets", "1", "-"], folder)

    def tracks(self, limit):
        """What was received, once it has ended."""
        self.ends(limit)
        return parse(self.out.read_text())
