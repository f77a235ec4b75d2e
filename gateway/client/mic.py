"""`scribewire mic`: the terminal as a page. Finals scroll up, the open segment grows below them."""

import asyncio
import signal
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from gateway.captions import Caption, to_json, to_srt, to_text, to_vtt
from gateway.client.session import Session
from gateway.client.sources import Source, level_dbfs
from gateway.client.wire import Event

METER_CELLS = 24
METER_FLOOR_DB = -60.0
SAVERS = {".srt": to_srt, ".vtt": to_vtt, ".json": to_json, ".txt": to_text}


@dataclass
class Screen:
    """What the terminal shows; filled by events, drawn by rich."""

    console: Console
    captions: list[Caption] = field(default_factory=list)
    state: str = "listening"
    language: str = ""
    stable: str = ""
    unstable: str = ""
    lag_ms: int = 0
    level_db: float = METER_FLOOR_DB

    def take(self, event: Event) -> None:
        """Shows an event."""
        match event:
            case {"type": "partial"}:
                self.stable, self.unstable = event["stable"], event["unstable"]
                self.lag_ms, self.language = event["lag_ms"], event["language"] or ""
            case {"type": "final"}:
                self.stable = self.unstable = ""
                self._add(event)
            case {"type": "suppressed"}:
                self.stable = self.unstable = ""
            case {"type": "warning" | "error"}:
                self.console.print(Text(event["message"], "yellow"))

    def _add(self, final: Event) -> None:
        self.captions.append(Caption(final["text"], final["start_ms"], final["end_ms"]))
        if text := final["text"].strip():
            minutes, seconds = divmod(final["start_ms"] // 1000, 60)
            self.console.print(Text(f"{minutes}:{seconds:02} ", "dim") + Text(text, "default"))

    def __rich__(self) -> Group:
        text = Text(self.stable.lstrip(), "bold") + Text(self.unstable, "dim italic")
        return Group(text, self._status())

    def _status(self) -> Text:
        share = 1 - max(METER_FLOOR_DB, self.level_db) / METER_FLOOR_DB
        filled = round(share * METER_CELLS)
        meter = Text("▮" * filled, "green") + Text("▯" * (METER_CELLS - filled), "dim")
        facts = [self.state, self.language, f"lag {self.lag_ms / 1000:.1f} s", "Ctrl-C stops"]
        return meter + Text("  " + " · ".join(fact for fact in facts if fact), "dim")


async def caption_live(
    session: Session, source: Source, console: Console, save: Path | None
) -> list[Caption]:
    """Captions ``source`` until it ends or Ctrl-C, and saves them.

    Args:
        session: opened at the source's rate.
        source: what to listen to.
        console: where to draw; without a terminal only finals are printed.
        save: where the captions go at the end, in the form that its suffix names; None: nowhere.

    Raises:
        SessionError: the connection failed; what was captioned by then is saved all the same.
    """
    screen = Screen(console)
    live = Live(screen, console=console, refresh_per_second=12, transient=True)
    if console.is_terminal:
        live.start()
    sending = asyncio.create_task(_send(session, source, screen))
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, sending.cancel)
    try:
        async for event in session:
            screen.take(event)
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        live.stop()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        if save is not None:
            document = SAVERS[save.suffix](screen.captions)
            await asyncio.to_thread(save.write_text, document, encoding="utf-8")
            console.print(Text(f"Saved {len(screen.captions)} captions to {save}.", "dim"))
    return screen.captions


async def _send(session: Session, source: Source, screen: Screen) -> None:
    """Sends until the source ends or somebody cancels; either way the session is stopped."""
    try:
        async for frame in source.frames:
            screen.level_db = level_dbfs(frame)
            await session.send(frame)
    finally:
        screen.state, screen.level_db = "finishing", METER_FLOOR_DB
        await session.stop()
