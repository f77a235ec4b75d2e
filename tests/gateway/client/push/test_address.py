"""What is posted where, as YouTube and Zoom document it."""

from datetime import UTC, datetime

import pytest

from gateway.client.push.address import CaptionAddress, Line

YOUTUBE = "http://upload.youtube.com/closedcaption?cid=abcd-1234"
ZOOM = "https://wmcc.zoom.us/closedcaption?id=2006&ns=GZ%3D%3D&expire=86400&signature=nY%2FQ.x"
LINE = Line(("The board met", "ÿ 会議 <again>."), datetime(2026, 1, 2, 3, 4, 5, 6789, UTC), "en")


def test_youtube_gets_the_time_in_utc_and_rows_parted_by_br() -> None:
    address = CaptionAddress.parse(YOUTUBE)

    assert address.url_of(7, LINE) == f"{YOUTUBE}&seq=7"
    expected = "2026-01-02T03:04:05.006\nThe board met<br>ÿ 会議 <again>.\n"
    assert address.body_of(LINE).decode() == expected
    assert address.number_url is None


def test_a_whole_second_has_milliseconds_too() -> None:
    line = Line(("x",), datetime(2026, 1, 2, tzinfo=UTC))

    assert CaptionAddress.parse(YOUTUBE).body_of(line) == b"2026-01-02T00:00:00.000\nx\n"


def test_zoom_gets_the_text_and_its_language() -> None:
    address = CaptionAddress.parse(ZOOM)

    assert address.url_of(7, LINE) == f"{ZOOM}&seq=7&lang=en-US"
    assert address.body_of(LINE).decode() == "The board met\nÿ 会議 <again>."
    assert address.number_url == ZOOM.replace("/closedcaption?", "/closedcaption/seq?")
    unknown = Line(LINE.rows, LINE.said_at, "tlh")
    assert address.url_of(7, unknown) == f"{ZOOM}&seq=7"
    french = CaptionAddress.parse(ZOOM, language="fr-FR")
    assert french.url_of(7, LINE) == f"{ZOOM}&seq=7&lang=fr-FR"


def test_a_number_and_language_that_were_copied_with_it_are_replaced() -> None:
    copied = CaptionAddress.parse(f" {ZOOM}&seq=3&lang=de-DE\n")

    assert copied.url_of(0, LINE) == f"{ZOOM}&seq=0&lang=en-US"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://youtube.com.example/closedcaption?cid=1", "say which --form"),
        ("https://notzoom.us/closedcaption", "say which --form"),
        ("ftp://upload.youtube.com/closedcaption", "not an address"),
        ("https:///closedcaption", "not an address"),
        ("https://upload.youtube.com:port/", "not an address"),
        ("", "not an address"),
    ],
)
def test_what_is_no_caption_address_is_refused(url: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        CaptionAddress.parse(url)


def test_any_host_may_be_told_its_form() -> None:
    assert (
        CaptionAddress.parse("http://127.0.0.1:9/x", "zoom")
        .url_of(1, LINE)
        .endswith("/x?seq=1&lang=en-US")
    )
