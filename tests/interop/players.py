"""Programs that play a stream: started before it is published, they have all of it in the end."""
import gstreamer
import tracks
from installed import FFMPEG_9, as_nobody, folder_for_nobody
from program import Program, until

LIMIT = 30  # seconds for a player to end after its stream


class Ffmpeg(tracks.Receiver):
    """ffmpeg 5."""

    def __init__(self, folder, url):
        super().__init__(folder, url, "ffmpeg", "player", ["-rtmp_live", "live"])

    def received(self, _sent):
        """The tracks."""
        return self.tracks(LIMIT)


class Ffmpeg9(tracks.Receiver):
    """ffmpeg 9, the yardstick itself."""

    def __init__(self, folder, url):
        super().__init__(folder, url, FFMPEG_9, "player", ["-rtmp_live", "live"])

    def received(self, _sent):
        """The tracks."""
        return self.tracks(LIMIT)


class Copy(Program):
    """ffmpeg 5, saving a stream as it is."""

    def __init__(self, folder, url):
        self.file = folder / "got.flv"
        super().__init__("player", ["ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "warning", "-rtmp_live", "live", "-i", url,
                                    "-c", "copy", "-f", "flv", self.file], folder)


class Saver(Program):
    """A program that saves a stream as a file."""

    def __init__(self, folder, argv, file, **env):
        self.file = file
        super().__init__("player", argv, folder, **env)

    def received(self, _sent):
        """The tracks of the file."""
        self.ends(LIMIT)
        return tracks.read(self.file)


class Gst(Saver):
    """GStreamer, whose source gives FLV."""

    source = "rtmp2src"

    def __init__(self, folder, url):
        file = folder / "got.flv"
        super().__init__(folder, gstreamer.saving(url, file, self.source), file)


class GstLegacy(Gst):
    """The same with the older source, which is librtmp. At the end of a stream it connects again and waits for the next."""

    source = "rtmpsrc"

    def received(self, sent):
        """The tracks of the file, as soon as it has as many packets as were `sent`."""
        def saved():
            got = tracks.read(self.file)
            return got if tracks.count(got) >= tracks.count(sent) else None
        try:
            return until("whole recording", saved, LIMIT)
        finally:
            self.kill()


class Rtmpdump(Saver):
    """rtmpdump, which is librtmp too."""

    def __init__(self, folder, url):
        file = folder / "got.flv"
        super().__init__(folder, ["rtmpdump", "-V", "-v", "-r", url, "-o", file], file)


class Mpv(Saver):
    """mpv, on a screen, and recording what it plays."""

    def __init__(self, folder, url, display):
        file = folder / "got.mkv"
        super().__init__(folder, ["mpv", "--no-config", "--vo=x11", "--ao=null", "--no-border", "--geometry=640x360+0+0",
                                  "--osd-level=0", f"--stream-record={file}", url], file, DISPLAY=display)


class Vlc(Saver):
    """VLC, which will not run as root, on a screen."""

    privileges = as_nobody()

    def __init__(self, folder, url, display):
        home = folder_for_nobody(folder / "vlc")
        super().__init__(folder, ["cvlc", "-v", "--play-and-exit", "--no-audio", "--vout", "xcb_x11", "--no-video-title-show", "--no-osd",
                                  url], None, HOME=str(home), XDG_RUNTIME_DIR=str(home), DISPLAY=display)


class VlcSaver(Saver):
    """VLC, saving the stream."""

    privileges = as_nobody()

    def __init__(self, folder, url):
        home = folder_for_nobody(folder / "vlc")
        file = home / "got.mkv"
        super().__init__(folder, ["cvlc", "-v", "--play-and-exit", url, "--sout",
                                  f"#standard{{access=file,mux=avformat{{mux=matroska}},dst={file}}}"], file,
                         HOME=str(home), XDG_RUNTIME_DIR=str(home))
