"""The fuzzers' corpus as one file a target, each input behind its length in two bytes: pack FOLDERS FILES, unpack FILES FOLDERS."""

import hashlib
import pathlib
import struct
import sys


def pack(folders, files):
    """Inputs up to 4 kB, the shortest first, 128 kB of them at most."""
    files.mkdir(exist_ok=True)
    for folder in sorted(folders.iterdir()):
        inputs = sorted({path.read_bytes() for path in folder.iterdir()}, key=lambda i: (len(i), i))
        room, packed = 128 << 10, b""
        for data in inputs:
            if len(data) <= 4096 and len(packed) + len(data) + 2 <= room:
                packed += struct.pack(">H", len(data)) + data
        (files / folder.name).write_bytes(packed)


def unpack(files, folders):
    for file in sorted(files.iterdir()):
        folder = folders / file.name
        folder.mkdir(parents=True, exist_ok=True)
        packed = file.read_bytes()
        while packed:
            (length,) = struct.unpack_from(">H", packed)
            data, packed = packed[2 : 2 + length], packed[2 + length :]
            (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)


command, source, target = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
{"pack": pack, "unpack": unpack}[command](source, target)
