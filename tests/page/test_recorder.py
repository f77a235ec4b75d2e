"""What a browser's own recorder makes, sent as it is."""

import pytest

from tests.conftest import Server
from tests.page.browser import words
from tests.page.conftest import OpenPage

RECORD = """async () => {
    const audio = { channelCount: 1, echoCancellation: false, noiseSuppression: false };
    const stream = await navigator.mediaDevices.getUserMedia({ audio });
    const recorder = new MediaRecorder(stream, { mimeType: "audio/webm;codecs=opus" });
    const url = location.origin.replace("http", "ws") + "/v1/stream?encoding=opus";
    const socket = new WebSocket(url);
    const finals = [];
    const { promise: over, resolve } = Promise.withResolvers();
    socket.onmessage = ({ data }) => {
        const message = JSON.parse(data);
        if (message.type === "ready") recorder.start(250);
        if (message.type === "final") finals.push(message.text);
        if (finals.length === 4 && recorder.state === "recording") recorder.stop();
    };
    let bytes = 0;
    recorder.ondataavailable = ({ data }) => {
        bytes += data.size;
        socket.send(data);
    };
    recorder.onstop = () => socket.send(JSON.stringify({ type: "stop" }));
    socket.onclose = ({ code }) => resolve({ code, finals, bytes });
    return await over;
}"""


@pytest.mark.timeout(60)
async def test_what_mediarecorder_makes_is_understood(server: Server, open_page: OpenPage) -> None:
    page = await open_page(server.http, speaks="beckett.wav", permissions=["microphone"])

    heard = await page.evaluate(RECORD)

    assert heard["code"] == 1000
    said = words(heard["finals"])
    assert said[:4] == ["ever", "tried", "ever", "failed"]
    assert heard["bytes"] < 16_000 * 10
