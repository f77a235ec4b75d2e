"""Where the time goes in gateway and model while sessions stream in real time.

``python -m tests.profile_gateway [--sessions 8] [--chunk-ms 2000] [--seconds 30]``

Needs ``py-spy`` on the PATH (``pip install py-spy``; on Linux as root). The gateway's threads are
sampled where they are really on a CPU, and each sample goes to the first of `PARTS` that its
stack, read from the inside, names. The model's encoder and decoder are the model's own count.
"""

import argparse
import collections
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from gateway.bench.server import private_server

RATE = 250
SETTLE_S = 8
PARTS = {
    "voice activity detection": ("engine/vad",),
    "decoding and resampling": ("gateway/audio.py", "soxr"),
    "codec": ("gateway/wire/", "msgpack", "json/"),
    "model process' wire": ("engine/process_runner.py", "engine/messages.py"),
    "scheduling and segments": ("engine/",),
    "session and connection": ("gateway/",),
    "websocket library": ("websockets/", "uvicorn/", "starlette/"),
    "event loop": ("asyncio/", "uvloop", "concurrent/", "threading.py"),
}


def part_of(stack: list[str]) -> str:
    """The part that a sampled stack, outermost first, belongs to."""
    for frame in reversed(stack):
        for part, places in PARTS.items():
            if any(place in frame for place in places):
                return part
    return "other"


def phases(url: str) -> dict[str, float]:
    """Seconds of model time so far, by phase."""
    with urlopen(f"http{url.removeprefix('ws')}/metrics") as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {
        sample.labels["phase"]: sample.value
        for family in families
        for sample in family.samples
        if sample.name == "scribewire_step_phase_seconds_total"
    }


def main() -> None:
    """Prints cores used by each part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=8)
    parser.add_argument("--chunk-ms", default="2000")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--model")
    wish = parser.parse_args()
    with private_server(wish.model) as server, tempfile.TemporaryDirectory() as folder:
        samples = Path(folder) / "samples"
        load = subprocess.Popen(
            ["scribewire", "bench", "--url", server.url, "--sessions", str(wish.sessions),
             "--chunk-ms", wish.chunk_ms, "--duration-s", str(SETTLE_S + wish.seconds + 10)],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(SETTLE_S)
        before = phases(server.url)
        subprocess.run(
            ["py-spy", "record", "--pid", str(server.pid), "--duration", str(wish.seconds),
             "--rate", str(RATE), "--format", "raw", "--full-filenames", "--threads",
             "--output", str(samples)],
            check=True, capture_output=True,
        )  # fmt: skip
        after = phases(server.url)
        load.wait()
        counted: collections.Counter[str] = collections.Counter()
        for line in samples.read_text().splitlines():
            stack, count = line.rsplit(" ", 1)
            counted[part_of(stack.split(";"))] += int(count)
    print(f"{wish.sessions} sessions, chunk_ms={wish.chunk_ms}: cores used")
    for phase, seconds in after.items():
        print(f"  model: {phase:25s} {(seconds - before.get(phase, 0)) / wish.seconds:.3f}")
    for part, count in counted.most_common():
        print(f"  {part:32s} {count / RATE / wish.seconds:.3f}")


if __name__ == "__main__":
    main()
