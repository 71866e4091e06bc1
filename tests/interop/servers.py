"""Other servers, as destinations: each ends with what it took, as a file or as a list of tracks."""
import json
import os

import tracks
from installed import FFMPEG_9, NGINX, NGINX_RTMP, NODE, NODE_MEDIA_SERVER
from program import Program, free_port, listening, until

NGINX_CONFIG = """load_module {module};
daemon off; master_process off; {user}
pid {folder}/nginx.pid; error_log {folder}/nginx-error.log info;
events {{ worker_connections 64; }}
rtmp {{ server {{
  listen 127.0.0.1:{port}; access_log off;
  application live {{ live on; record all; record_path {folder}; record_suffix .flv; }} }} }}
"""
NODE_SCRIPT = """new (require({module}))({{bind: '127.0.0.1', rtmp: {{port: {port}}}, record: {{path: {folder}}}, store: {{path: {store}}}}}).run()"""


class Recording(Program):
    """A server that records each stream to a file."""

    def __init__(self, folder, argv, port, **env):
        self.app, self.port = f"rtmp://127.0.0.1:{port}/live", port
        super().__init__("server", argv, folder, **env)
        self.awaits("listening port", lambda: listening(port), 20)

    def received(self, sent):
        """The tracks of the recording, as soon as it is as long as what was `sent`; it is not closed at once everywhere."""
        def recorded():
            found = next(iter(self.recordings()), None)
            got = tracks.read(found) if found else []
            return got if got and tracks.count(got) >= sum(len(track.packets) - track.early for track in sent) else None
        try:
            return until("whole recording", recorded, 10)
        finally:
            self.kill()


class Nginx(Recording):
    """nginx with its RTMP module."""

    def __init__(self, folder):
        port = free_port()
        config = folder / "nginx.conf"
        config.write_text(NGINX_CONFIG.format(module=NGINX_RTMP, folder=folder, port=port,
                                              user="user root;" if os.getuid() == 0 else ""))
        super().__init__(folder, [NGINX, "-c", config, "-p", folder, "-e", folder / "nginx-error.log"], port)

    def recordings(self):
        """The files it wrote."""
        return self.folder.glob("x*.flv")


class NodeMediaServer(Recording):
    """node-media-server."""

    def __init__(self, folder):
        port = free_port()
        self.media = folder / "node"
        script = NODE_SCRIPT.format(module=json.dumps(str(NODE_MEDIA_SERVER)), port=port,
                                    folder=json.dumps(str(self.media)), store=json.dumps(str(folder / "store")))
        super().__init__(folder, [NODE, "-e", script], port)

    def recordings(self):
        """The files it wrote."""
        return self.media.glob("live/x/*.flv")


class Listener(tracks.Receiver):
    """ffmpeg as a server for one publisher."""

    program = "ffmpeg"

    def __init__(self, folder):
        self.port = free_port()
        self.app = f"rtmp://127.0.0.1:{self.port}/live"
        super().__init__(folder, f"{self.app}/x", self.program, "server", ["-listen", "1"])
        self.awaits("listening port", lambda: listening(self.port), 20)

    def received(self, _sent):
        """The tracks, once the publisher has gone."""
        return self.tracks(20)


class Listener9(Listener):
    """The newer ffmpeg as a server for one publisher."""

    program = FFMPEG_9
