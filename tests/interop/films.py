"""The films of the matrix: eight seconds each, one for each pair of codecs, made by the programs under test."""
import subprocess

import media
import tracks
from installed import FFMPEG_9
from program import Failed

SECONDS = 8
SOURCE = ["-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25",
          "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-t", str(SECONDS), "-ac", "2", "-g", "50"]
X264 = ["-c:v", "libx264", "-preset", "ultrafast"]
X265 = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "keyint=50:bframes=2:log-level=error"]
AV1 = ["-c:v", "libsvtav1", "-preset", "12", "-svtav1-params", "keyint=50"]
VP9 = ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "300k"]

# Who encodes what; H.264/AAC is the pattern of the end-to-end tests, two tracks are two of these films.
ENCODERS = {
    "H.264/MP3": ("ffmpeg", [*X264, "-c:a", "libmp3lame"]),
    "Sorenson/MP3": ("ffmpeg", ["-c:v", "flv", "-c:a", "libmp3lame", "-ar", "44100"]),
    "Screen/Speex": ("ffmpeg", ["-c:v", "flashsv", "-c:a", "speex", "-ar", "16000", "-ac", "1"]),
    "HEVC/AAC": (FFMPEG_9, [*X265, "-c:a", "aac"]),
    "AV1/Opus": (FFMPEG_9, [*AV1, "-c:a", "libopus"]),
    "VP9/Opus": (FFMPEG_9, [*VP9, "-c:a", "libopus"]),
    "H.264/FLAC": (FFMPEG_9, [*X264, "-c:a", "flac"]),
    "H.264/AC-3": (FFMPEG_9, [*X264, "-c:a", "ac3"]),
}
TWO = "HEVC/AAC + AV1/Opus"


class Film:
    """A file with its tracks."""

    def __init__(self, codecs, path):
        self.codecs, self.path, self.tracks = codecs, path, tracks.read(path)
        if len(self.tracks) < 2 or not all(track.packets for track in self.tracks):
            raise Failed(f"{path} is no film: {tracks.packets(self.tracks)}")


def make(codecs, folder, films):
    """Makes a film; `films` has those already made."""
    path = folder / f"{codecs.replace('/', '-').replace(' ', '')}.flv"
    if codecs == "H.264/AAC":
        media.encode(path, SECONDS)
    else:
        program, arguments = ENCODERS.get(codecs) or (FFMPEG_9, ["-map", "0", "-map", "1", "-c", "copy"])
        source = SOURCE if codecs in ENCODERS else ["-v", "error", "-nostdin", "-i", films["HEVC/AAC"].path, "-i", films["AV1/Opus"].path]
        raw = path.with_suffix(".raw.flv")
        subprocess.run([program, *source, *arguments, "-f", "flv", raw], check=True, timeout=60, stderr=subprocess.DEVNULL)
        # ffmpeg writes the configuration of VP9 otherwise when it copies: from here on it stays the same.
        subprocess.run([program, "-v", "error", "-nostdin", "-i", raw, "-map", "0", "-c", "copy", "-f", "flv", path], check=True, timeout=60)
    return Film(codecs, path)
