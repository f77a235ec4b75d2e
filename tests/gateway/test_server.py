"""`scribewire serve` as a process: how it starts, how it ends, and what it leaves in its log."""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from gateway.access.keys import add_key, remove_key
from gateway.server import CannotStartError, run_in_background
from gateway.settings import Settings
from tests.conftest import QUICK_MODEL, Server
from tests.engine.models.doubles import OneWordASecondModel, SlowModel
from tests.gateway.dialing import dial, hear, hear_all
from tests.speech import pcm16

SCRIBEWIRE = Path(sys.prefix) / "bin" / "scribewire"
ROOT = Path(__file__).parents[2]
READY = "Scribewire is ready: open "
START_WITHIN_S = 90
"""The first start in a fresh environment compiles all it imports, beside other tests."""
END_WITHIN_S = 10

pytestmark = pytest.mark.timeout(180)


class DeliberateModel(SlowModel):
    """Takes a second for a step, so that something can happen while it is awaited."""

    def __init__(self) -> None:
        super().__init__(1.0)


class StuckModel(SlowModel):
    """Takes longer for a step than anybody waits."""

    def __init__(self) -> None:
        super().__init__(60.0)


class SlowlyLoadedModel(OneWordASecondModel):
    """Says when it begins to load, and when it is there."""

    def __init__(self) -> None:
        super().__init__()
        print("loading", file=sys.stderr, flush=True)
        time.sleep(1)
        print("loaded", file=sys.stderr, flush=True)


class PortThief(OneWordASecondModel):
    """While it loads, another program begins to listen on the gateway's port."""

    port = socket.socket()

    def __init__(self) -> None:
        super().__init__()
        self.port.listen()


@dataclass
class Gateway:
    """A running `scribewire serve`."""

    process: asyncio.subprocess.Process
    log: Path
    server: Server

    async def ended(self) -> int:
        """Its exit code."""
        async with asyncio.timeout(END_WITHIN_S):
            return await self.process.wait()

    async def hang_up(self, event: str) -> None:
        """Sends SIGHUP and waits for the event that answers it."""
        self.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(END_WITHIN_S):
            while event not in [line["event"] for line in self.logged()]:
                await asyncio.sleep(0.02)

    def logged(self) -> list[dict[str, Any]]:
        """The lines of its log; anything else on stderr, as a traceback, is none."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


def start(*arguments: str, settings: dict[str, str] | None = None, **streams: Any) -> Any:
    """`scribewire serve` with these arguments and no settings of the tests' own environment.

    Ctrl-C works in it, also if whoever runs the tests put them in the background of a shell, which
    has what it starts there ignore that.
    """
    environment = {n: v for n, v in os.environ.items() if not n.startswith("SCRIBEWIRE_")}
    environment |= settings or {}
    return asyncio.create_subprocess_exec(
        "env", "--default-signal=INT", SCRIBEWIRE, "serve", *arguments,
        cwd=ROOT, env=environment, **streams,
    )  # fmt: skip


@asynccontextmanager
async def gateway(
    log: Path,
    *arguments: str,
    scheme: str = "http",
    settings: dict[str, str] | None = None,
    within_s: float = START_WITHIN_S,
) -> AsyncIterator[Gateway]:
    """A gateway on a free port that has said it is ready.

    Args:
        settings: environment variables.
        within_s: in which it must.
    """
    with log.open("w") as stderr:
        process = await start(
            "--port", "0", *arguments, settings=settings, stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(within_s):
            line = (await process.stdout.readline()).decode()
        assert line.startswith(READY), line
        url = line.removeprefix(READY).strip().rstrip("/")
        assert url.startswith(f"{scheme}://")
        yield Gateway(process, log, Server("ws" + url.removeprefix("http"), Settings()))
    except Exception as error:
        said = await asyncio.to_thread(log.read_text)
        error.add_note(f"the gateway's exit code: {process.returncode}; its log:\n{said}")
        raise
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        process._transport.close()


async def fails(*arguments: str, **settings: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a gateway that must not start."""
    process = await start(
        *arguments, settings=settings, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(START_WITHIN_S):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_sigterm_amid_speech_costs_no_word(tmp_path: Path) -> None:
    audio = pcm16("beckett.wav")[0]
    context = "Krapp-and-his-tapes"
    async with gateway(tmp_path / "log") as running:
        assert running.server.get("/readyz").json()["status"] == "ready"
        async with dial(running.server, f"context={context}") as client:
            await client.send(audio[:160_000])
            events = [await hear(client)]
            while "final" not in [event["type"] for event in events]:
                events.append(await hear(client))
            running.process.send_signal(signal.SIGTERM)
            events += await hear_all(client)
        code = await running.ended()

    [error] = [event for event in events if event["type"] == "error"]
    assert (error["code"], error["retryable"]) == ("shutting_down", True)
    finals = [event for event in events if event["type"] == "final"]
    text = "".join(final["text"] for final in finals)
    assert "no matter" in text.lower()
    assert finals[-1]["end_ms"] > 4000
    assert (events[-1]["type"], events[-1]["duration_ms"]) == ("done", 5000)
    assert client.close_code == 1012
    assert code == 0
    log = (tmp_path / "log").read_text()
    assert [line["event"] for line in running.logged()] == ["draining", "session_closed"]
    assert context not in log
    assert "matter" not in log.lower()


async def test_sigterm_amid_twenty_conversations_costs_none_a_word(tmp_path: Path) -> None:
    model = "tests.engine.models.doubles:DigestModel"
    audio = pcm16("beckett.wav")[0][: 3 * 32_000]

    async def heard_so_far(client: Any) -> list[dict[str, Any]]:
        await client.send('{"type": "ping", "id": "all was read"}')
        events = [await hear(client)]
        while events[-1]["type"] != "pong":
            events.append(await hear(client))
        return events

    async def said(client: Any, events: list[dict[str, Any]]) -> list[tuple[str, int]]:
        events += await hear_all(client)
        assert (events[-1]["duration_ms"], client.close_code) == (3000, 1012)
        return [(e["text"], e["end_ms"]) for e in events if e["type"] == "final"]

    async with gateway(tmp_path / "log", "--model", model, "--runner", "thread") as running:
        clients = [await dial(running.server) for _ in range(20)]
        for client in clients:
            await client.send(audio)
        so_far = [await heard_so_far(client) for client in clients]
        running.process.send_signal(signal.SIGTERM)
        everything = await asyncio.gather(*map(said, clients, so_far))
        code = await running.ended()

    assert code == 0
    assert everything[0]
    assert everything == [everything[0]] * 20


async def test_while_it_drains_newcomers_are_sent_elsewhere(tmp_path: Path) -> None:
    model = f"{__name__}:{DeliberateModel.__name__}"
    async with gateway(tmp_path / "log", "--model", model, "--runner", "thread") as running:
        async with dial(running.server) as client:
            await hear(client)
            await client.send(pcm16("beckett.wav")[0][:64_000])
            running.process.send_signal(signal.SIGTERM)
            while (await hear(client)).get("code") != "shutting_down":
                pass
            ready = running.server.get("/readyz")
            with pytest.raises(InvalidStatus) as refusal:
                await dial(running.server)
            events = await hear_all(client)
        code = await running.ended()

    assert (ready.status_code, ready.json()["status"]) == (503, "draining")
    response = refusal.value.response
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert json.loads(response.body or b"")["code"] == "shutting_down"
    assert events[-1]["type"] == "done"
    assert (client.close_code, code) == (1012, 0)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
async def test_a_signal_ends_it_without_a_traceback(tmp_path: Path, name: str) -> None:
    async with gateway(tmp_path / "log") as running:
        running.process.send_signal(signal.Signals[name])
        code = await running.ended()

    assert code == 0
    assert [line["event"] for line in running.logged()] == ["draining"]


async def test_a_second_signal_does_not_wait_for_finals(tmp_path: Path) -> None:
    async with gateway(tmp_path / "log", "--model", f"{__name__}:{StuckModel.__name__}") as running:
        async with dial(running.server) as client:
            await client.send(pcm16("beckett.wav")[0][:64_000])
            running.process.send_signal(signal.SIGINT)
            while (await hear(client)).get("code") != "shutting_down":
                pass
            running.process.send_signal(signal.SIGINT)
            async with asyncio.timeout(5):
                await client.wait_closed()
        code = await running.ended()

    assert (client.close_code, code) == (1012, 0)
    assert [line["event"] for line in running.logged()] == ["draining", "session_closed"]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
async def test_a_signal_while_the_model_loads_ends_all_of_it_without_a_traceback(
    tmp_path: Path, name: str
) -> None:
    log = tmp_path / "log"
    with log.open("w") as stderr:
        model = f"{__name__}:{SlowlyLoadedModel.__name__}"
        process = await start("--port", "0", "--model", model, stderr=stderr)
    async with asyncio.timeout(START_WITHIN_S):
        while "loading" not in log.read_text():
            await asyncio.sleep(0.05)
        process.send_signal(signal.Signals[name])
        code = await process.wait()
        await asyncio.sleep(1.5)  # by then the model is loaded, if its process lives on

    assert code in (0, 128 + signal.Signals[name], -signal.Signals[name])
    assert log.read_text() == "loading\n"


async def test_what_clients_do_wrong_is_neither_an_error_of_ours_nor_in_the_log(
    tmp_path: Path,
) -> None:
    quick = ("--model", QUICK_MODEL, "--runner", "thread")
    async with gateway(tmp_path / "log", *quick) as running:
        for query in ("sample_rate=1&context=Godot", "language=Godot"):
            with pytest.raises(InvalidStatus):
                await dial(running.server, query)
        async with dial(running.server, "context=Godot") as client:
            await client.send(b'{"type": "configure", "context": "Godot\xff"}', text=True)
            await hear_all(client)
        assert running.server.get("/nowhere?context=Godot").status_code == 404
        running.process.send_signal(signal.SIGTERM)
        await running.ended()

    assert "Godot" not in running.log.read_text()
    assert [line["event"] for line in running.logged()] == ["session_closed", "draining"]


async def test_a_port_that_is_taken_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, out, err = await fails("--port", str(port))

    assert (code, out) == (1, "")
    assert err == (
        f"scribewire: cannot listen on 127.0.0.1 port {port} (Address already in use); "
        "stop what uses it or give another --port\n"
    )


async def test_an_address_of_another_machine_is_one_sentence() -> None:
    code, out, err = await fails("--host", "192.0.2.1", "--no-auth", "--log-level", "error")

    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert err.startswith("scribewire: cannot listen on 192.0.2.1 port 8000 (")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "example.com"])
async def test_beyond_this_machine_it_does_not_start_without_keys(host: str) -> None:
    code, out, err = await fails("--host", host, "--port", "0")

    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert err.startswith(f"scribewire: not listening on {host or 'all addresses'} without keys: ")
    assert "scribewire keys add NAME" in err
    assert "--no-auth" in err


@pytest.mark.parametrize(
    ("arguments", "settings", "warning"),
    [
        (["--no-auth"], {}, "open_to_all"),
        ([], {"SCRIBEWIRE_API_KEYS": "swk_" + "k" * 43}, "keys_without_tls"),
    ],
)
async def test_beyond_this_machine_with_keys_or_without_on_purpose(
    tmp_path: Path, arguments: list[str], settings: dict[str, str], warning: str
) -> None:
    quick = ("--model", QUICK_MODEL, "--runner", "thread", "--host", "0.0.0.0")
    async with gateway(tmp_path / "log", *quick, *arguments, settings=settings) as running:
        assert running.server.get("/readyz").status_code == 200

        assert [line["event"] for line in running.logged()] == [warning]
    assert "kkkk" not in running.log.read_text()


@pytest.mark.parametrize(
    ("arguments", "settings", "words"),
    [
        (["--keys-file", "/nowhere/keys.json"], {}, "the key file /nowhere/keys.json cannot be"),
        ([], {"SCRIBEWIRE_API_KEYS": "hunter2"}, "key 1 of SCRIBEWIRE_API_KEYS is none"),
        (["--no-auth", "--keys-file", "a"], {}, "No_auth and keys contradict each other"),
        (["--allowed-origins", "*"], {}, "Allowed_origins=* needs keys"),
        (["--allowed-origins", "example.com"], {}, "'example.com' is not an origin"),
        (["--trusted-proxies", "*"], {}, "--trusted-proxies: '*' does not appear to be"),
        ([], {"SCRIBEWIRE_TOKEN_SECRET": "hunter2"}, "SCRIBEWIRE_TOKEN_SECRET: at least 32"),
    ],
)
async def test_what_it_is_told_of_access_and_cannot_be_is_one_sentence(
    arguments: list[str], settings: dict[str, str], words: str
) -> None:
    code, out, err = await fails("--port", "0", *arguments, **settings)

    assert code in (1, 2)
    assert (out, len(err.splitlines())) == ("", 1)
    assert words in err
    assert "hunter2" not in err


async def test_keys_are_read_again_on_sighup(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    alice, bob = add_key(file, "alice", None, None), add_key(file, "bob", None, None)
    quick = ("--model", QUICK_MODEL, "--runner", "thread", "--keys-file", str(file))
    async with gateway(tmp_path / "log", *quick) as running:

        def calling(key: str) -> Any:
            return dial(running.server, additional_headers={"Authorization": f"Bearer {key}"})

        async with calling(alice) as of_alice, calling(bob) as of_bob:
            await hear(of_alice)
            await hear(of_bob)
            await of_alice.send(pcm16("beckett.wav")[0][:64_000])
            content = file.read_text()
            file.write_text("{")
            await running.hang_up("keys_not_reloaded")  # those that were read before stay
            async with calling(alice) as another:
                assert (await hear(another))["type"] == "ready"
            file.write_text(content)
            remove_key(file, "alice")
            carol = add_key(file, "carol", None, None)
            await running.hang_up("keys_reloaded")

            async with calling(carol) as of_carol:
                assert (await hear(of_carol))["type"] == "ready"
            with pytest.raises(InvalidStatus, match="401"):
                await calling(alice)
            events = await hear_all(of_alice)
            await of_bob.send('{"type": "stop"}')
            assert (await hear_all(of_bob))[-1]["type"] == "done"

    assert [event["code"] for event in events if event["type"] == "error"] == ["unauthorized"]
    assert "final" in [event["type"] for event in events]  # what was said is not lost
    assert of_alice.close_code == 4501


@pytest.mark.parametrize("runner", ["process", "thread"])
@pytest.mark.parametrize("model", ["whisper-huge", "tests.nowhere:Model", "json:loads2"])
async def test_an_unknown_model_is_one_sentence(model: str, runner: str) -> None:
    code, out, err = await fails("--port", "0", "--model", model, "--runner", runner)

    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert err.startswith("scribewire: there is no model ")
    assert model in err


async def test_a_port_that_is_taken_while_the_model_loads_is_one_sentence() -> None:
    """Two gateways started at once on one port: both can bind it, one can listen."""
    PortThief.port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    PortThief.port.bind(("127.0.0.1", 0))
    settings = Settings(
        port=PortThief.port.getsockname()[1], runner="thread",
        model=f"{__name__}:{PortThief.__name__}",
    )  # fmt: skip
    with PortThief.port, pytest.raises(CannotStartError, match="cannot listen on"):
        async with asyncio.timeout(5), run_in_background(settings):
            pass


async def test_in_the_background_it_shares_the_loop_and_leaves_nothing_behind() -> None:
    tasks = asyncio.all_tasks()
    handler = signal.getsignal(signal.SIGINT)
    settings = Settings(port=0, runner="thread", model=QUICK_MODEL)
    async with run_in_background(settings) as url:
        assert signal.getsignal(signal.SIGINT) is handler
        async with httpx.AsyncClient(trust_env=False) as client:
            address = "http" + url.removeprefix("ws")
            assert (await client.get(f"{address}/readyz")).status_code == 200

    assert asyncio.all_tasks() == tasks
    with pytest.raises(OSError, match=r"[Cc]onnect"):
        await asyncio.open_connection("127.0.0.1", int(url.rsplit(":", 1)[1]))
