"""GStreamer's command lines: a film published as it is, and a stream saved."""


def publishing(film, url, sink="rtmp2sink"):
    """Takes an FLV file of H.264 and AAC apart, puts it together again and sends it in real time."""
    return ["gst-launch-1.0", "flvmux", "name=m", "streamable=true", "!", sink, f"location={url}",
            "filesrc", f"location={film}", "!", "flvdemux", "name=d",
            "d.video", "!", "queue", "!", "h264parse", "!", "identity", "sync=true", "!", "m.",
            "d.audio", "!", "queue", "!", "aacparse", "!", "identity", "sync=true", "!", "m."]


def saving(url, file, source="rtmp2src"):
    """Writes a stream to an FLV file, until it ends."""
    return ["gst-launch-1.0", "-e", source, f"location={url}", "!", "filesink", f"location={file}"]
