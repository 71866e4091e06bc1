"""Six streams, each with one thing about it, and what each platform's limits make of them."""
import json
import subprocess

from program import Failed
from server import ROOT, Server

# What each of them deserves: `!` is refused, `?` is not confirmed. A platform that is not named has nothing to say.
DESERVED = {
    "good": {},
    "b-frames": {},
    "long-gop": {
        "facebook": "gop_too_long", "twitch": "gop_too_long", "kick": "gop_too_long", "x": "gop_too_long",
        "restream": "gop_too_long", "youtube": "gop_too_long?", "instagram": "gop_too_long?", "tiktok": "gop_too_long?",
        "linkedin": "gop_too_long?", "vimeo": "gop_too_long?", "cloudflare": "gop_too_long?"},
    "fat": {
        "facebook": "bitrate_too_high", "twitch": "bitrate_too_high", "kick": "bitrate_too_high?",
        "instagram": "bitrate_too_high?", "tiktok": "bitrate_too_high?", "linkedin": "bitrate_too_high?"},
    "silent": {"facebook": "no_audio!", "youtube": "no_audio"},
    # The fixture's picture is broader than high.
    "hevc": {
        "facebook": "codec_not_taken!", "twitch": "codec_not_taken!", "kick": "codec_not_taken!", "x": "codec_not_taken!",
        "vimeo": "codec_not_taken!", "restream": "codec_not_taken!", "linkedin": "codec_not_taken?",
        "cloudflare": "codec_not_taken?", "instagram": "codec_not_taken? not_upright?",
        "tiktok": "codec_not_taken? not_upright?"},
}
PLATFORMS = ["youtube", "facebook", "instagram", "twitch", "kick", "x", "tiktok", "linkedin", "vimeo", "restream", "cloudflare"]


def films(folder):
    """A file for each of them. All but one are upright, as every platform takes them, with a key frame every two seconds."""
    def encode(name, seconds=13, kbps=1500, gop=60, b_frames=0, sound=True, noise=""):
        path = folder / f"{name}.flv"
        tone = ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-c:a", "aac", "-b:a", "96k", "-ac", "2"]
        subprocess.run(
            ["ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi", "-i", f"testsrc2=size=720x1280:rate=30{noise}",
             *(tone if sound else []), "-t", str(seconds), "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p",
             "-g", str(gop), "-keyint_min", str(gop), "-sc_threshold", "0", "-bf", str(b_frames),
             "-b:v", f"{kbps}k", "-minrate", f"{kbps}k", "-maxrate", f"{kbps}k", "-bufsize", f"{kbps}k",
             "-x264-params", "nal-hrd=cbr", "-f", "flv", str(path)], check=True, timeout=120)
        return path
    return {"good": encode("good"), "b-frames": encode("b-frames", b_frames=2), "long-gop": encode("long-gop", 21, 800, 300),
            "fat": encode("fat", kbps=10_000), "silent": encode("silent", sound=False),
            "hevc": ROOT / "fixtures" / "flv" / "hevc-aac.flv"}


def config(path, sink):
    """A destination with the limits of each platform, all of them at one server."""
    rows = [f"  - {{name: {name}, platform: {name}, url: \"{sink.app}\", stream_key: \"{{stream}}-at-{name}\"}}" for name in PLATFORMS]
    path.write_text("destinations:\n" + "\n".join(rows) + "\n")
    return path


def told(api):
    """What the relay's status says of each stream at each platform: its advice, and the state."""
    out = subprocess.run([Server.binary, "status", "--json", "--api", api], check=True, timeout=20, capture_output=True)
    seen = json.loads(out.stdout)
    advice, states = {}, {}
    for destination in seen["destinations"]:
        for sent in destination["streams"]:
            name = (sent["stream"] or "").removeprefix("live/")
            words = [a["matter"] + ("!" if a["refused"] else "" if a["confirmed"] else "?") for a in sent["advice"]]
            states[name, destination["name"]] = sent["state"]
            if words:
                advice.setdefault(name, {})[destination["name"]] = " ".join(words)
    return advice, states, {s["name"].removeprefix("live/"): s for s in seen["streams"]}


def deserved(api):
    """Whether every stream has what it deserves, and is sent where it is not refused."""
    advice, states, _ = told(api)
    wanted = {name: at for name, at in DESERVED.items() if at}
    blocked = {(name, platform) for name, at in DESERVED.items() for platform, words in at.items() if "!" in words}
    state = {(name, platform): "blocked" if (name, platform) in blocked else "live" for name in DESERVED for platform in PLATFORMS}
    return advice == wanted and states == state


def differences(api):
    """What is said and not deserved, or the other way round."""
    advice, states, streams = told(api)
    wrong = [f"{name} at {platform}: {advice.get(name, {}).get(platform)} ({states.get((name, platform))})"
             for name, at in DESERVED.items() for platform in PLATFORMS if advice.get(name, {}).get(platform) != at.get(platform)]
    raise Failed("; ".join(wrong) or f"states {states}; streams {streams}")
