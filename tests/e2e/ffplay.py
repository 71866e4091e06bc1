"""ffplay, playing in a window that fills its screen, and the status line it keeps."""
import re

from program import Failed, Program


class Ffplay(Program):
    """Plays `url` on `display`; ends by itself when the server ends the stream."""

    def __init__(self, folder, display, url):
        super().__init__("ffplay", ["ffplay", "-hide_banner", "-loglevel", "verbose", "-stats", "-autoexit", "-noborder",
                                    "-left", "0", "-top", "0", "-x", "640", "-y", "360", "-rtmp_live", "live", url],
                         folder, DISPLAY=display, SDL_VIDEODRIVER="x11", SDL_AUDIODRIVER="dummy")

    def skew(self):
        """Seconds between sound and picture on the last status line; fails if it tells of only one of them."""
        seen = re.findall(r"([AM]-[AV]): *(\S+)", self.log.read_text(errors="replace"))
        which, seconds = seen[-1] if seen else ("none", "nan")
        if which != "A-V" or seconds == "nan":
            raise Failed(f"ffplay's last status is {which} {seconds}, not sound and picture")
        return float(seconds)
