"""OBS 29 without a user: a complete configuration, made anew for each run, and its websocket to control it."""
import json
import socket

from program import Failed, Program, free_port

GLOBAL = """[General]
FirstRun=true
LastVersion=486539266
InfoIncrement=999
EnableAutoUpdates=false
ConfirmOnExit=false
Pre19Defaults=false
Pre21Defaults=false
Pre23Defaults=false
Pre24.1Defaults=false
[Basic]
Profile=e2e
ProfileDir=e2e
SceneCollection=e2e
SceneCollectionFile=e2e
[BasicWindow]
SysTrayWhenStarted=false
WarnBeforeStartingStream=false
WarnBeforeStoppingStream=false
RecordWhenStreaming=false
PreviewEnabled=true
[OBSWebSocket]
FirstLoad=false
ServerEnabled=true
ServerPort={port}
AlertsEnabled=false
AuthRequired=false
"""

PROFILE = """[General]
Name=e2e
[Video]
BaseCX=640
BaseCY=360
OutputCX=640
OutputCY=360
FPSType=0
FPSCommon=30
[Audio]
SampleRate=48000
ChannelSetup=Stereo
[Output]
Mode=Simple
Reconnect=false
DelayEnable=false
FilenameFormatting=recorded
[SimpleOutput]
FilePath={folder}
RecFormat=flv
RecQuality=Stream
StreamEncoder=x264
VBitrate=1000
ABitrate=128
UseAdvanced=true
Preset=ultrafast
x264Settings=keyint=60 profile=main tune=zerolatency
"""


def scene(media):
    """One scene with one source: the file, in a loop."""
    item = {"name": "Pattern", "id": 1, "visible": True, "pos": {"x": 0.0, "y": 0.0}, "scale": {"x": 1.0, "y": 1.0},
            "rot": 0.0, "align": 5, "bounds_type": 0}
    return {"name": "e2e", "current_scene": "Scene", "current_program_scene": "Scene",
            "scene_order": [{"name": "Scene"}], "current_transition": "Cut", "transition_duration": 300,
            "transitions": [], "groups": [], "quick_transitions": [], "saved_projectors": [], "modules": {},
            "sources": [
                {"id": "ffmpeg_source", "versioned_id": "ffmpeg_source", "name": "Pattern", "mixers": 255,
                 "volume": 1.0, "muted": False,
                 "settings": {"local_file": str(media), "is_local_file": True, "looping": True,
                              "restart_on_activate": True, "hw_decode": False}},
                {"id": "scene", "versioned_id": "scene", "name": "Scene",
                 "settings": {"id_counter": 1, "custom_size": False, "items": [item]}}]}


class Obs(Program):
    """OBS, streaming the file to `server` under `key`. `inside` is what comes before it on its command line.

    It is stopped by StopStream and then killed: asked to end by SIGINT, OBS 29.0.2 crashed or hung 3 times in 40.
    """

    def __init__(self, folder, display, media, server, key, inside=()):
        self.port, self.recorded = free_port(), folder / "recorded.flv"
        config, runtime = folder / "obs-config", folder / "obs-runtime"
        runtime.mkdir(mode=0o700)
        service = {"type": "rtmp_custom", "settings": {"server": server, "key": key, "use_auth": False}}
        for path, text in {"global.ini": GLOBAL.format(port=self.port),
                           "basic/profiles/e2e/basic.ini": PROFILE.format(folder=folder),
                           "basic/profiles/e2e/service.json": json.dumps(service),
                           "basic/scenes/e2e.json": json.dumps(scene(media))}.items():
            file = config / "obs-studio" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        super().__init__("obs", [*inside, "obs", "--startstreaming", "--minimize-to-tray", "--profile", "e2e",
                                 "--collection", "e2e", "--multi", "--disable-missing-files-check",
                                 "--unfiltered_log"], folder,
                         DISPLAY=display, XDG_CONFIG_HOME=str(config), XDG_RUNTIME_DIR=str(runtime),
                         QT_QPA_PLATFORM="xcb")

    def records(self):
        """Begins to record what the encoders of the stream give, once that has been done."""
        self.ask("StartRecord")
        self.awaits("recording", lambda: self.ask("GetRecordStatus")["outputBytes"] > 0, 20)

    def recording(self):
        """The file that was recorded, once it is whole."""
        self.ask("StopRecord")
        self.awaits("whole recording", lambda: not self.ask("GetRecordStatus")["outputActive"], 20)
        return self.recorded

    def frames(self):
        """Frames sent so far, and of all frames those dropped (sent late), skipped (encoded late) and lagged (drawn late)."""
        stream, stats = self.ask("GetStreamStatus"), self.ask("GetStats")
        return (stream["outputTotalFrames"], stream["outputSkippedFrames"],
                stats["outputSkippedFrames"], stats["renderSkippedFrames"])

    def ask(self, request):
        """The answer to a request of obs-websocket, protocol 5, over a connection of its own."""
        with socket.create_connection(("127.0.0.1", self.port), 10) as connection, connection.makefile("rb") as incoming:
            def send(message):
                text = json.dumps(message).encode()  # below 126 bytes; a client's frames are masked, here with zeros
                connection.sendall(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text)

            def receive():
                length = incoming.read(2)[1]
                if length == 126:
                    length = int.from_bytes(incoming.read(2), "big")
                return json.loads(incoming.read(length))["d"]

            connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                               b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                               b"Sec-WebSocket-Protocol: obswebsocket.json\r\n\r\n")
            while incoming.readline().strip():
                pass
            receive()  # Hello
            send({"op": 1, "d": {"rpcVersion": 1, "eventSubscriptions": 0}})
            receive()  # Identified
            send({"op": 6, "d": {"requestType": request, "requestId": "1"}})
            answer = receive()
            if not answer["requestStatus"]["result"]:
                raise Failed(f"OBS refused {request}: {answer['requestStatus']}")
            return answer.get("responseData")
