"""A screen without a monitor, and what is to be seen on it."""
import struct
import time
import zlib

from media import CELL, CELLS, COLOURS, RATE
from program import Program

TOLERANCE = 30  # how far a conversion of colour spaces may move a component of a colour


class Picture:
    """The pixels of a screen at one moment: an X window dump, as Xvfb keeps it."""

    def __init__(self, dump):
        header = struct.unpack_from(">25I", dump)
        self.width, self.height, self.stride = header[4], header[5], header[12]
        self.pixels = dump[header[0] + 12 * header[19]:]  # behind the header and the colour map; B, G, R, 0

    def cell(self, index):
        """The colour in the middle of a cell of the top row."""
        x, y = index * CELL + CELL // 2, CELL // 2
        blue, green, red = self.pixels[y * self.stride + 4 * x:][:3]
        return red, green, blue

    def colours(self):
        """The cells that should be COLOURS."""
        return [self.cell(CELLS + index) for index in range(len(COLOURS))]

    def number(self):
        """The frame number in the top row, if this is the pattern in its right colours."""
        if any(abs(seen - right) > TOLERANCE for cell, colour in zip(self.colours(), COLOURS.values())
               for seen, right in zip(cell, colour)):
            return None
        return sum((sum(self.cell(bit)) > 384) << bit for bit in range(CELLS))

    def save(self, path):
        """Writes a PNG."""
        rows = b""
        for y in range(self.height):
            row = self.pixels[y * self.stride:][:4 * self.width]
            rgb = bytearray(3 * self.width)
            rgb[0::3], rgb[1::3], rgb[2::3] = row[2::4], row[1::4], row[0::4]
            rows += b"\0" + rgb
        def chunk(kind, data):
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        path.write_bytes(b"\x89PNG\r\n\x1a\n"
                         + chunk(b"IHDR", struct.pack(">2I5B", self.width, self.height, 8, 2, 0, 0, 0))
                         + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


class Screen(Program):
    """Xvfb on a display number that it finds itself; its picture is a file."""

    def __init__(self, name, folder, size):
        self.frame_buffer = folder / name
        self.frame_buffer.mkdir()
        super().__init__(name, ["Xvfb", "-displayfd", "1", "-screen", "0", f"{size}x24", "-nolisten", "tcp",
                                "-fbdir", self.frame_buffer], folder)
        self.awaits("display number", lambda: self.out.read_text().endswith("\n"), 20)
        self.display = f":{self.out.read_text().strip()}"

    def picture(self):
        """What is on the screen; read until two looks agree, since the other side may be drawing."""
        before = None
        while True:
            picture = Picture((self.frame_buffer / "Xvfb_screen0").read_bytes())
            if before and picture.number() == before.number():
                return picture
            before = picture

    def pattern(self):
        """The picture on the screen, if it is the pattern."""
        return picture if (picture := self.picture()).number() is not None else None

    def moves(self, player, frames):
        """Two pictures of the pattern that `player` shows 2 to 8 s apart, the film being `frames` long and played in a loop,
        and the time of each."""
        def later():
            picture = self.pattern()
            moved = (picture.number() - first.number()) % frames if picture else 0
            return picture if 2 * RATE <= moved <= 8 * RATE else None
        first, first_at = player.awaits("right picture", self.pattern, 30), time.monotonic()
        second = player.awaits("picture 2 s on", later, 12)
        return (first, first_at), (second, time.monotonic())
