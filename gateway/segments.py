"""A room's captions as HTTP Live Streaming has them: WebVTT in segments, and a playlist. Pure.

RFC 8216, 3.5 (WebVTT segments) and 4.3 (playlists). All segments are as long as one another; a cue
that overlaps several is in each of them, with its own times.
"""

from collections.abc import Sequence

from gateway.captions import Caption, to_cues_vtt

MAX_LISTED = 1500
"""Newest segments in a playlist: two and a half hours."""
MAX_MPEGTS = 2**33 - 1
"""Timestamps of MPEG-2 have 33 bits."""


def numbers(from_ms: int, to_ms: int, segment_ms: int) -> range:
    """The segments that lie in a stretch of time as a whole, the newest that fit in a playlist."""
    last = to_ms // segment_ms
    return range(max(-(-from_ms // segment_ms), last - MAX_LISTED, 0), last)


def playlist(listed: range, segment_ms: int, has_ended: bool, query: str = "") -> str:
    """The media playlist.

    Args:
        query: of the segments' addresses.
    """
    seconds = segment_ms / 1000
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:3",
        f"#EXT-X-TARGETDURATION:{-(-segment_ms // 1000)}",
        f"#EXT-X-MEDIA-SEQUENCE:{listed.start}",
    ]
    for number in listed:
        lines += [f"#EXTINF:{seconds:.3f},", f"captions/{number}.vtt{query}"]
    if has_ended:
        lines.append("#EXT-X-ENDLIST")
    return "".join(f"{line}\n" for line in lines)


def segment(cues: Sequence[Caption], number: int, segment_ms: int, mpegts: int = 0) -> str:
    """One segment.

    Args:
        cues: in lines, among them all that overlap it.
        mpegts: timestamp that a video has, at 90 kHz, where the captions' time is 0.
    """
    start, end = number * segment_ms, (number + 1) * segment_ms
    within = [cue for cue in cues if cue.start_ms < end and cue.end_ms > start]
    return to_cues_vtt(within, f"X-TIMESTAMP-MAP=MPEGTS:{mpegts},LOCAL:00:00:00.000\n")
