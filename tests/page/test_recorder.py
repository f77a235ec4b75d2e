"""What a browser's own recorder makes, sent as it is."""

from io import BytesIO

import numpy as np

from engine.messages import Audio
from gateway.media import HEAD_BYTES, decode_media, demuxer
from tests.conftest import Server
from tests.page.browser import heard_in, words
from tests.page.conftest import OpenPage
from tests.page.microphone import needs_microphone, whole_recording

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
    const sent = [];
    recorder.ondataavailable = ({ data }) => {
        sent.push(data);
        socket.send(data);
    };
    recorder.onstop = () => socket.send(JSON.stringify({ type: "stop" }));
    socket.onclose = ({ code }) => resolve(code);
    const code = await over;
    return { code, finals, sent: [...new Uint8Array(await new Blob(sent).arrayBuffer())] };
}"""


@needs_microphone
async def test_what_mediarecorder_makes_is_understood(server: Server, open_page: OpenPage) -> None:
    page = await open_page(server.http, speaks="beckett.wav", permissions=["microphone"])

    recorded = await page.evaluate(RECORD)
    sent = bytes(recorded["sent"])

    async def heard() -> Audio:
        return np.concatenate(list(decode_media(BytesIO(sent), demuxer(sent[:HEAD_BYTES]))))

    assert recorded["code"] == 1000
    said = words(recorded["finals"])
    assert said == await heard_in(server, sent, "encoding=opus")
    async with whole_recording("beckett.wav", heard):
        assert said[:4] == ["ever", "tried", "ever", "failed"]
    assert len(sent) < 16_000 * 10
