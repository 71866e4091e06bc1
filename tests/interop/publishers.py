"""Programs that publish a film as it is, in real time, and end with it."""
import gstreamer
from films import SECONDS
from installed import FFMPEG_9, as_nobody, folder_for_nobody
from program import Program

LIMIT = SECONDS + 40


class Ffmpeg(Program):
    """ffmpeg, copying all tracks."""

    def __init__(self, folder, film, url, program="ffmpeg"):
        super().__init__("publisher", [program, "-hide_banner", "-nostdin", "-loglevel", "warning", "-re", "-i", film.path,
                                       "-map", "0", "-c", "copy", "-f", "flv", url], folder)

    def done(self):
        """Waits for the end of the film."""
        self.ends(LIMIT)


class Ffmpeg9(Ffmpeg):
    """The newer ffmpeg, which knows Enhanced RTMP."""

    def __init__(self, folder, film, url):
        super().__init__(folder, film, url, FFMPEG_9)


class Gst(Program):
    """GStreamer, taking the film apart and putting it together again."""

    sink = "rtmp2sink"

    def __init__(self, folder, film, url):
        super().__init__("publisher", gstreamer.publishing(film.path, url, self.sink), folder)

    def done(self):
        """Waits for the end of the film."""
        self.ends(LIMIT)


class GstLegacy(Gst):
    """The same with the older sink, which is librtmp."""

    sink = "rtmpsink"


class Vlc(Program):
    """VLC, which will not run as root, and stays when the film is over."""

    privileges = as_nobody()

    def __init__(self, folder, film, url):
        home = folder_for_nobody(folder / "vlc")
        super().__init__("publisher", ["cvlc", "-v", "--play-and-exit", film.path, "--sout",
                                       f"#standard{{access=rtmp,mux=ffmpeg{{mux=flv}},dst={url}}}"], folder, HOME=str(home))

    def done(self):
        """Waits for the end of the film."""
        self.ends(LIMIT)


class Mpv(Program):
    """mpv, encoding anew and as fast as it can."""

    def __init__(self, folder, film, url):
        super().__init__("publisher", ["mpv", "--no-config", film.path, f"--o={url}", "--of=flv", "--ovc=libx264",
                                       "--ovcopts=preset=ultrafast,g=60,bf=0", "--oac=aac"], folder)

    def done(self):
        """Waits for the end of the film."""
        self.ends(LIMIT)
