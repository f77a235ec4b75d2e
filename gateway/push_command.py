"""``scribewire push``. What it needs is imported when it runs."""

from typing import Annotated, Literal

import typer


def push(
    room: Annotated[str, typer.Argument(help="Name of the room.")],
    to: Annotated[
        str,
        typer.Option(
            metavar="CAPTION_URL",
            envvar="SCRIBEWIRE_CAPTION_URL",
            help="Address that YouTube or Zoom gives for captions; it is a secret.",
        ),
    ],
    url: Annotated[
        str, typer.Option(metavar="ws://HOST:PORT", help="Server.")
    ] = "ws://127.0.0.1:8000",
    form: Annotated[
        Literal["youtube", "zoom"] | None,
        typer.Option(help="What the address takes.", show_default="by its host"),
    ] = None,
    language: Annotated[
        str, typer.Option(metavar="en-US", help="For Zoom.", show_default="what is heard")
    ] = "",
    first: Annotated[
        int | None,
        typer.Option(
            min=0, help="Number of the first line.", show_default="what Zoom expects, else 1"
        ),
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(envvar="SCRIBEWIRE_API_KEY", help="Key, or a viewer's token, if needed."),
    ] = None,
) -> None:
    """Post a room's captions to YouTube or Zoom, from now on."""
    try:
        from gateway.client.push.address import CaptionAddress
        from gateway.client.push.poster import AddressRefused, GivenUp
        from gateway.client.push.push import push as carry_out
    except ModuleNotFoundError as error:
        if error.name != "httpx":
            raise
        typer.echo("scribewire: httpx is missing: pip install 'scribewire[push]'", err=True)
        raise typer.Exit(1) from None

    import asyncio
    from contextlib import suppress

    from gateway.client.errors import SessionError
    from gateway.client.wire import stream_url

    try:
        stream_url(url, "json", {})
    except ValueError as error:
        raise typer.BadParameter(f"{error}.", param_hint="--url") from None
    try:
        address = CaptionAddress.parse(to, form, language)
    except ValueError as error:
        raise typer.BadParameter(f"{error}.", param_hint="--to") from None

    def tell(line: str) -> None:
        typer.echo(line, err=True)

    try:
        with suppress(KeyboardInterrupt):
            asyncio.run(carry_out(url, room, address, api_key, first, tell))
    except SessionError as error:
        tell(f"scribewire: {error.message}")
        raise typer.Exit(1) from None
    except GivenUp as error:
        tell(f"scribewire: The caption address does not work: {error}.")
        raise typer.Exit(1) from None
    except AddressRefused as error:
        tell(f"scribewire: {error}")
        raise typer.Exit(1) from None
