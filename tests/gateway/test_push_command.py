"""`scribewire push`: wrong arguments, and that every failure is a sentence and a code."""

import pytest

from tests.gateway.test_cli import plain_environment, run

assert plain_environment  # a fixture that all commands need


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--to", "closedcaption"], "not an address like https://"),
        (["--to", "https://captions.example/x"], "say which --form"),
        (["--to", "https://upload.youtube.com/x", "--url", "here"], "not an address like ws://"),
        ([], "Missing option '--to'"),
    ],
)
def test_wrong_arguments_are_named(arguments: list[str], problem: str) -> None:
    code, _, error = run("push", "hall", *arguments)

    assert code == 2
    assert problem in error


def test_a_service_that_cannot_be_asked_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import gateway.client.push.push as pushing
    from gateway.client.push.poster import Patience

    monkeypatch.setattr(pushing, "Patience", lambda: Patience(line_s=0.0))
    code, _, error = run("push", "hall", "--form", "zoom", "--to", "http://127.0.0.1:9/x?id=secret")

    assert code == 1
    assert error == "scribewire: The caption address does not work: nobody answered.\n"
