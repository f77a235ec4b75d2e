"""``scribewire keys``: the key file. What it needs is imported when it runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

keys = typer.Typer(help="Make, list and withdraw API keys.", no_args_is_help=True)

File = Annotated[Path, typer.Option("--file", envvar="SCRIBEWIRE_KEYS_FILE", help="The key file.")]
DEFAULT_FILE = Path("keys.json")


@keys.command()
def add(
    name: Annotated[str, typer.Argument(help="Whose key it is: it appears in logs.")],
    file: File = DEFAULT_FILE,
    sessions: Annotated[
        int | None, typer.Option(min=1, help="At a time.", show_default="max_sessions_per_key")
    ] = None,
    minutes_per_day: Annotated[
        float | None,
        typer.Option(min=0, help="Of audio; 0: no limit.", show_default="audio_minutes_per_day"),
    ] = None,
    admin: Annotated[
        bool, typer.Option("--admin", help="It may also drain the gateway: POST /admin/drain.")
    ] = False,
) -> None:
    """Make a key and print it, this once: only its digest is kept."""
    from gateway.access.keys import add_key

    with _complaining():
        typer.echo(add_key(file, name, sessions, minutes_per_day, admin=admin))
    typer.echo(f"It cannot be shown again. {_next_step(file)}", err=True)


@keys.command("list")
def list_keys(file: File = DEFAULT_FILE) -> None:
    """Show whose keys there are, and their limits."""
    from gateway.access.keys import read_key_file

    with _complaining():
        for name, record in read_key_file(file).items():
            limits = record.model_dump(exclude={"sha256", "admin"}, exclude_defaults=True)
            shown = [f"{limit}={value:g}" for limit, value in limits.items()]
            typer.echo(" ".join([name, *shown, *(["admin"] if record.admin else [])]))


@keys.command()
def remove(
    name: Annotated[str, typer.Argument(help="Whose key it is.")], file: File = DEFAULT_FILE
) -> None:
    """Withdraw a key: its tokens and, once the server has read the file, its sessions end."""
    from gateway.access.keys import remove_key

    with _complaining():
        remove_key(file, name)
    typer.echo(_next_step(file), err=True)


def _next_step(file: Path) -> str:
    return (
        f"Start the server with --keys-file {file}; one that runs reads it again on SIGHUP "
        "(kill -HUP PID)."
    )


@contextmanager
def _complaining() -> Iterator[None]:
    from gateway.access.keys import KeysError

    try:
        yield
    except KeysError as error:
        typer.echo(f"scribewire: {error}", err=True)
        raise typer.Exit(1) from None
