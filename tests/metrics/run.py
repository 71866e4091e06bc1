#!/usr/bin/env python3
"""Has Debian's Prometheus watch a relay: promtool looks at the metrics and the rules, and the dashboard's questions are asked.

A show goes to a server that takes it and to one that is not there. Prometheus scrapes the relay with its token, has the rules of
docs/alerts.yaml, and says what it has found.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "e2e"))
from program import Failed, Program, free_port, until  # noqa: E402

TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
RELAY = TARGET / "release" / "rtmp-relay"
# Unpacked there by tests/e2e/setup.
PROGRAMS = TARGET / "programs" / "prometheus" / "usr" / "bin"
TOKEN = "correct-horse-battery-staple"
KEY = "CANARY-of-the-show"


def ask(url, token=None):
    """What is answered there."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def promtool(*argv, text=None):
    """What promtool says, which has to be nothing bad."""
    done = subprocess.run([PROGRAMS / "promtool", *map(str, argv)], input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    if done.returncode:
        raise Failed(f"promtool {' '.join(map(str, argv))} ended with {done.returncode}: {done.stdout.strip()}")
    return done.stdout


def query(prometheus, expression):
    """The series that an expression gives, each with its value."""
    answer = json.loads(ask(f"{prometheus}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"))
    if answer["status"] != "success":
        raise Failed(f"{expression}: {answer}")
    return [(series["metric"], float(series["value"][1])) for series in answer["data"]["result"]]


def one(prometheus, expression, wanted, limit=30):
    """Waits until an expression gives one series whose value is as wanted."""
    def found():
        values = [value for _, value in query(prometheus, expression)]
        return len(values) == 1 and wanted(values[0])
    until(f"{expression} that is as wanted", found, limit)


def expressions():
    """What the dashboard asks, for everything."""
    panels = json.loads((ROOT / "docs" / "grafana.json").read_text())["panels"]
    for panel in panels:
        for target in panel.get("targets", []):
            text = target["expr"].replace("$__rate_interval", "30s")
            yield panel["title"], re.sub(r"\$(instance|destination|stream)", ".*", text)


def run(home):
    promtool("check", "rules", ROOT / "docs" / "alerts.yaml")
    promtool("test", "rules", HERE / "alerts_test.yaml")
    server, relay, api, prometheus = (free_port() for _ in range(4))
    Program("server", [RELAY, "serve", "--listen", f"127.0.0.1:{server}", "--api-listen", "off"], home)
    config = home / "relay.yaml"
    config.write_text(f"""
listen: "127.0.0.1:{relay}"
api_listen: "127.0.0.1:{api}"
api_token: ${{TOKEN}}
destinations:
  - {{name: archive, url: "rtmp://127.0.0.1:{server}/live", stream_key: {KEY}}}
  - {{name: nobody, url: "rtmp://127.0.0.1:1/live", stream_key: {KEY}}}
""")
    program = Program("relay", [RELAY, "serve", "--config", config], home, TOKEN=TOKEN)
    program.awaits("its API", lambda: "HTTP API" in program.out.read_text(), 30)
    clip = ROOT / "fixtures" / "flv" / "clip.flv"
    Program("encoder", [RELAY, "publish", clip, f"rtmp://127.0.0.1:{relay}/live/show", "--loop"], home)

    url = f"http://127.0.0.1:{api}/metrics"
    try:
        ask(url)
        raise Failed("the metrics are told without the token")
    except urllib.error.HTTPError as error:
        if error.code != 401:
            raise Failed(f"without the token: {error}") from None
    until("a live destination", lambda: re.search(r'destination_up\{destination="archive".*\} 1', ask(url, TOKEN)), 30)
    metrics = ask(url, TOKEN)
    promtool("check", "metrics", text=metrics)
    if KEY in metrics:
        raise Failed("a key is among the metrics")

    settings = home / "prometheus.yml"
    settings.write_text(json.dumps({
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(ROOT / "docs" / "alerts.yaml")],
        "scrape_configs": [{
            "job_name": "rtmp-relay",
            "authorization": {"credentials": TOKEN},
            "static_configs": [{"targets": [f"127.0.0.1:{api}"]}],
        }],
    }))
    promtool("check", "config", settings)
    watcher = Program("prometheus", [
        PROGRAMS / "prometheus", f"--config.file={settings}", f"--storage.tsdb.path={home / 'data'}", f"--web.listen-address=127.0.0.1:{prometheus}",
    ], home)
    watcher.says("Server is ready to receive web requests", 60)
    prometheus = f"http://127.0.0.1:{prometheus}"
    one(prometheus, 'up{job="rtmp-relay"}', lambda value: value == 1)
    one(prometheus, 'rtmp_relay_destination_up{destination="archive"}', lambda value: value == 1)
    one(prometheus, 'rtmp_relay_destination_last_error{destination="nobody", class="network"}', lambda value: value == 1)
    one(prometheus, 'rate(rtmp_relay_destination_sent_bytes_total{destination="archive"}[10s])', lambda value: value > 1000)
    one(prometheus, "rtmp_relay_stream_frames_per_second", lambda value: value > 10)
    alert = 'ALERTS{alertname="RtmpRelayDestinationDown", destination="nobody", alertstate="firing"}'
    until("an alert about the server that is not there", lambda: query(prometheus, alert), 90)
    if found := query(prometheus, 'ALERTS{destination="archive"}'):
        raise Failed(f"the server that is there is complained of: {found}")
    targets = json.loads(ask(f"{prometheus}/api/v1/targets"))["data"]["activeTargets"]
    if errors := [target["lastError"] for target in targets if target["lastError"]]:
        raise Failed(f"Prometheus could not read the metrics: {errors}")
    asked = list(expressions())
    shown = {title for title, expression in asked if query(prometheus, expression)}
    # Nothing has gone wrong with the stream, nobody records it, and what is counted by reasons has had none.
    may_be_empty = {"Frames left out", "Lost and found", "What platforms do not like", "Written"}
    if empty := {title for title, _ in asked} - shown - may_be_empty:
        raise Failed(f"the dashboard shows nothing for {sorted(empty)}")
    return f"{len(metrics.splitlines())} lines of metrics, {len(asked)} questions of the dashboard, an alert"


def main():
    home = pathlib.Path(tempfile.mkdtemp(prefix="rtmp-relay-metrics-"))
    try:
        for program, remedy in ((RELAY, "cargo build --release --package rtmp-relay"), (PROGRAMS / "promtool", "tests/e2e/setup")):
            if not program.exists():
                raise Failed(f"{program} is not there: {remedy}")
        print(f"PASS metrics: {run(home)}")
    except Failed as failed:
        print(f"FAIL metrics: {failed}\nwhat was said is in {home}")
        for program in Program.started:
            print(f"--- {program.name}\n{program.log.read_text(errors='replace')[-2000:]}")
        sys.exit(1)
    finally:
        Program.kill_all()
    shutil.rmtree(home)


if __name__ == "__main__":
    main()
