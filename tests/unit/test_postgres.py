"""The tests of delivery once more, on PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)
def test_delivery_keeps_its_rules_on_postgresql(postgres_url: str, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "tests/unit/delivery", "-q", f"--junitxml={report}"),
            *("-p", "no:cacheprovider", "-p", "no:xdist"),
        ],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        | {"DATABASE_URL": postgres_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout
    cases = ElementTree.parse(report).findall(".//testcase")
    skipped = [case.find("skipped") for case in cases]
    assert len(cases) > 100
    assert {each.get("message") for each in skipped if each is not None} <= {"SQLite's own"}
