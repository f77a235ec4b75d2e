"""Images are built of what is there, in the versions that the tests ran with."""

import re
from importlib.metadata import metadata, requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from gateway.settings import Settings
from tests.deploy.files import DEPLOY, ROOT, image_environment, instructions, settings_of
from tests.deploy.programs import run

EXTRAS = {"Dockerfile": "cluster", "Dockerfile.cuda": "kuberay"}


def test_hadolint_finds_nothing() -> None:
    assert run("hadolint", *(DEPLOY / name for name in EXTRAS)) == ""


@pytest.mark.parametrize("name", EXTRAS)
class TestImages:
    def test_what_is_copied_is_there_and_sent_to_the_builder(self, name: str) -> None:
        sent = (DEPLOY / f"{name}.dockerignore").read_text().splitlines()
        copied = [
            source for word, *files in instructions(name) if word == "COPY" for source in files[:-1]
        ]
        assert len(copied) >= 7
        for source in copied:
            assert (ROOT / source).exists()
            assert f"!{source}" in sent

    def test_what_builds_it_is_left_behind(self, name: str) -> None:
        stages = [line for line in instructions(name) if line[0] == "FROM"]
        assert [line[2:] for line in stages] == [["AS", "build"], []]

    def test_it_does_not_run_as_root(self, name: str) -> None:
        words = [line[0] for line in instructions(name)]
        users = [line[1] for line in instructions(name) if line[0] == "USER"]
        assert users == ["10001"]
        assert "RUN" not in words[words.index("USER") :]

    def test_downloaded_models_are_kept_in_a_volume(self, name: str) -> None:
        volumes = [line[1] for line in instructions(name) if line[0] == "VOLUME"]
        assert volumes == [image_environment(name)["HF_HOME"]] == ["/models"]

    def test_its_settings_are_settings(self, name: str) -> None:
        assert settings_of(image_environment(name)).host == "0.0.0.0"

    def test_it_starts_the_server_so_that_signals_reach_it(self, name: str) -> None:
        last = {line[0]: " ".join(line[1:]) for line in instructions(name)}
        assert (last["ENTRYPOINT"], last["CMD"]) == ("[scribewire]", "[serve]")
        assert "/healthz" in last["HEALTHCHECK"]
        assert last["EXPOSE"] == str(Settings().port)

    def test_it_has_ray_in_so_far_as_it_needs_it(self, name: str) -> None:
        extra = EXTRAS[name]
        assert f'"$(echo /wheels/*.whl)[{extra}]"' in (DEPLOY / name).read_text()
        assert extra in (metadata("scribewire").get_all("Provides-Extra") or [])


class TestLock:
    @staticmethod
    def pins() -> dict[str, str]:
        lines = (DEPLOY / "constraints.txt").read_text().splitlines()
        return dict(line.split("==") for line in lines if not line.startswith("#"))

    @pytest.mark.parametrize("name", EXTRAS)
    def test_images_are_built_with_it(self, name: str) -> None:
        text = (DEPLOY / name).read_text()
        assert "source=deploy/constraints.txt,target=/constraints.txt" in text
        assert re.search(r"pip install --no-cache-dir -c /constraints\.txt", text)
        assert "!deploy/constraints.txt" in (DEPLOY / f"{name}.dockerignore").read_text()

    def test_it_has_all_that_is_needed_in_versions_that_are_allowed(self) -> None:
        requirements = [Requirement(line) for line in requires("scribewire") or []]
        needed = [
            each for each in requirements
            if not each.marker or any(each.marker.evaluate({"extra": e}) for e in EXTRAS.values())
        ]  # fmt: skip
        assert len(needed) > 20
        pins = self.pins()
        for each in needed:
            assert pins[canonicalize_name(each.name)] in each.specifier, each
        assert {"ray", "aiohttp", "fastapi"} <= pins.keys()  # of the extras' extras
