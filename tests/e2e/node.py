"""Scripts for Node.js beside packages from npm."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest


async def run_node(folder: Path, script: str, *arguments: str) -> list[dict[str, Any]]:
    """Runs a module in a folder with ``node_modules``; the JSON lines that it prints."""
    node = shutil.which("node")
    if node is None:
        pytest.fail("node is missing: run `make system`.")
    path = folder / "script.mjs"
    path.write_text(script)
    process = await asyncio.create_subprocess_exec(
        node, str(path), *arguments, cwd=folder,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(60):
            out, complaints = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, complaints.decode()
    return [json.loads(line) for line in out.decode().splitlines()]
