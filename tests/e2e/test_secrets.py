"""What is secret stays so: nothing that was shown or said is in what a gateway writes."""

import ast
import asyncio
import re
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from gateway.access.keys import add_key, new_key
from tests.gateway.dialing import dial, hear, hear_all
from tests.gateway.test_server import gateway
from tests.speech import pcm16

ROOT = Path(__file__).parents[2]
CONTEXT = "Pozzo-and-Lucky"


def bearer(credential: str) -> dict[str, Any]:
    return {"additional_headers": {"Authorization": f"Bearer {credential}"}}


async def transcribed(server: Any, query: str = "", **how: Any) -> str:
    """The text of a session with real speech."""
    async with dial(server, f"context={CONTEXT}&{query}", **how) as socket:
        await hear(socket)
        await socket.send(pcm16("beckett.wav")[0][:160_000])
        await socket.send(b"\x00")  # half a sample: an error, told
        await socket.send('{"type": "stop"}')
        return "".join(e["text"] for e in await hear_all(socket) if e["type"] == "final")


@pytest.mark.timeout(60)
async def test_neither_credentials_nor_speech_are_in_logs_or_metrics(tmp_path: Path) -> None:
    """At the most talkative level, on every way in, with what goes well and what does not."""
    file = tmp_path / "keys.json"
    key, listed, wrong = add_key(file, "alice", None, None), new_key(), new_key()
    secret = "the signing secret, which is longer than it must be"
    settings = {"SCRIBEWIRE_API_KEYS": listed, "SCRIBEWIRE_TOKEN_SECRET": secret}
    arguments = ("--keys-file", str(file), "--log-level", "debug")
    async with gateway(tmp_path / "log", *arguments, settings=settings) as running:
        server = running.server
        async with httpx.AsyncClient(trust_env=False) as client:
            made = await client.post(
                f"{server.http}/v1/tokens", headers={"Authorization": f"Bearer {key}"},
                json={"single_use": False, "options": {"language": "en"}},
            )  # fmt: skip
            token = made.json()["token"]
            await client.get(f"{server.http}/nowhere?key={key}&token={token}")
        texts = await asyncio.gather(
            transcribed(server, **bearer(key)),
            transcribed(server, subprotocols=["scribewire.auth", listed]),
            transcribed(server, f"token={token}"),
        )
        for query, how in (
            ("", bearer(wrong)),
            (f"token={wrong}", {}),
            (f"token={token}x", {}),
            (f"api_key={key}&context={CONTEXT}", {}),
            (f"token={token}&language={CONTEXT}", {}),
            (f"context={CONTEXT}", {"origin": f"https://{wrong}.example"}),
        ):
            with pytest.raises(InvalidStatus):
                await dial(server, query, **how)
        await running.hang_up("keys_reloaded")
        shown = server.get("/metrics").text
        running.process.send_signal(signal.SIGTERM)
        assert await running.ended() == 0
        assert running.process.stdout is not None
        shown += (await running.process.stdout.read()).decode()
    shown += running.log.read_text()

    assert "session_closed" in shown  # so there was something to look at
    assert '"key": "alice"' in shown
    said = {word for text in texts for word in re.findall("[a-z]{5,}", text.lower())}
    assert {"tried", "failed", "matter"} <= said
    for hidden in (key, listed, wrong, secret, token, token.split(".")[2], CONTEXT, *said):
        # "failed" and the like are also names of metrics and events.
        found = re.findall(rf"\b{re.escape(hidden)}\b", shown, re.IGNORECASE)
        assert not found, hidden


def test_nothing_that_comes_over_a_wire_can_be_code() -> None:
    """No pickle, marshal, shelve, eval or exec in what is shipped; weights are not pickles."""
    for file in [*ROOT.glob("engine/**/*.py"), *ROOT.glob("gateway/**/*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name.split(".")[0] for alias in node.names}
                names.add((getattr(node, "module", None) or "").split(".")[0])
                assert not names & {"pickle", "marshal", "shelve", "dill", "joblib", "yaml"}, file
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec", "compile"), file
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                torch_load = ast.unparse(node.func) == "torch.load"
                assert not torch_load or "weights_only=True" in ast.unparse(node), file
