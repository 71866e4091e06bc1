"""The media of the tests: a file whose pictures a machine can read, who publishes it, and the packets a player gets."""
import collections
import re
import subprocess
import typing

from program import Failed, Program

SECONDS, RATE, KEY_FRAME_EVERY = 16, 30, 60
FRAMES = SECONDS * RATE
CELLS, CELL = 16, 32  # the frame number's bits in the picture's top row, lowest bit left; pixels per bit
COLOURS = {"red": (255, 0, 0), "lime": (0, 255, 0), "blue": (0, 0, 255)}  # cells to the right of the number


def encode(path, seconds=SECONDS):
    """Writes the pattern: RATE numbered pictures a second with B frames, and a tone. Its first packet is a key frame."""
    picture = f"testsrc2=size=640x360:rate={RATE},drawbox=w={CELLS * CELL}:h={CELL}:color=black:t=fill"
    for bit in range(CELLS):
        picture += (f",drawbox=x={bit * CELL}:w={CELL}:h={CELL}:color=white:t=fill"
                    f":enable='mod(floor(n/{2 ** bit}),2)'")
    for cell, colour in enumerate(COLOURS, CELLS):
        picture += f",drawbox=x={cell * CELL}:w={CELL}:h={CELL}:color={colour}:t=fill"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi", "-i", picture,
         "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-t", str(seconds),
         "-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-pix_fmt", "yuv420p", "-colorspace", "smpte170m",
         "-g", str(KEY_FRAME_EVERY), "-keyint_min", str(KEY_FRAME_EVERY), "-sc_threshold", "0",
         "-b:v", "1000k", "-maxrate", "1000k", "-bufsize", "1000k", "-c:a", "aac", "-b:a", "128k", "-ac", "2",
         "-f", "flv", str(path)], check=True, timeout=60)


class Publisher(Program):
    """ffmpeg, sending the file as it is in real time."""

    def __init__(self, folder, path, url, options=(), program="ffmpeg", name="publisher"):
        super().__init__(name, [program, "-hide_banner", "-nostdin", "-loglevel", "warning", "-progress", "pipe:1", "-stats_period", "0.1",
                                "-re", "-i", path, "-c", "copy", "-f", "flv", *options, url], folder)

    def position(self):
        """Seconds of the file sent so far."""
        sent = re.findall(r"out_time_us=(\d+)", self.out.read_text())
        return int(sent[-1]) / 1e6 if sent else 0.0


class Packet(typing.NamedTuple):
    """One audio or video packet as ffprobe shows it."""

    kind: str
    key: bool
    size: int
    data: str
    pts: int
    dts: int


PROBE = ["ffprobe", "-show_entries", "packet=codec_type,pts,dts,size,flags,data_hash",
         "-show_data_hash", "md5", "-of", "compact=p=0"]


def packets(text):
    """The packets in ffprobe's output, in its order."""
    rows = [dict(field.split("=", 1) for field in line.split("|")) for line in text.splitlines() if line]
    return [Packet(r["codec_type"], "K" in r["flags"], int(r["size"]), r["data_hash"], int(r["pts"]), int(r["dts"]))
            for r in rows]


def read(path):
    """The packets of a file."""
    return packets(subprocess.run([*PROBE, "-v", "error", str(path)], check=True, timeout=30,
                                  capture_output=True, text=True).stdout)


class Player(Program):
    """ffprobe as a player; it ends by itself when the server ends the stream."""

    def __init__(self, name, folder, url, options=()):
        super().__init__(name, [*PROBE, "-v", "debug", "-rtmp_live", "live", *options, url], folder)

    def joins(self, limit):
        """Waits until the player has asked for the stream."""
        self.says("Sending play command", limit)

    def packets(self, limit):
        """All packets received, once the stream has ended."""
        self.ends(limit)
        return packets(self.out.read_text())


def payloads(these, kind=None):
    """What there is to packets, of one kind or of both, but for their times."""
    return [packet[:4] for packet in these if kind in (None, packet.kind)]


def identical(name, sent, received):
    """The one number of ms by which all packets' times differ; fails if anything else does."""
    want, got = collections.Counter(payloads(sent)), collections.Counter(payloads(received))
    missing, extra = want - got, got - want
    if missing or extra:
        kinds = collections.Counter(packet[0] for packet in missing.elements())
        raise Failed(f"{name}: {missing.total()} of {len(sent)} packets missing ({kinds['video']} video, "
                     f"{kinds['audio']} audio), {extra.total()} too many")
    if payloads(sent) != payloads(received):
        raise Failed(f"{name}: all {len(sent)} packets there, but in another order")
    offsets = sorted({r.pts - s.pts for s, r in zip(sent, received)} | {r.dts - s.dts for s, r in zip(sent, received)})
    if len(offsets) != 1:
        raise Failed(f"{name}: times are off by {len(offsets)} different amounts, {offsets[0]} to {offsets[-1]} ms")
    return offsets[0]


def missing(name, kind, sent, received):
    """How many packets of a kind were not received at the beginning and at the end; fails if those between are not the same.

    For a program that has times of its own.
    """
    want, got = payloads(sent, kind), payloads(received, kind)
    before = next((n for n in range(len(want)) if got and want[n:n + len(got)] == got), None)
    if before is None:
        raise Failed(f"{name}: the {len(got)} {kind} packets are none of the {len(want)} sent, or not in their order")
    return before, len(want) - len(got) - before
