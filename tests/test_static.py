"""Static files as a server without DEBUG has them: a hash in each name, kept by browsers for good."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

HASHED = re.compile(r"\.[0-9a-f]{12}\.(js|css|svg)$")
IMPORT = re.compile(r"""^\s*(?:import|export)\b[^;"']*["'](\.{1,2}/[^"']+)["']""", re.MULTILINE)


@pytest.fixture
def collected(tmp_path: Path, settings: Any) -> Path:
    settings.STATIC_ROOT = tmp_path
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": "chatsite.static.HashedStaticFiles"}}
    call_command("collectstatic", interactive=False, verbosity=0)
    return tmp_path


def test_modules_import_each_other_by_their_hashed_names(collected: Path) -> None:
    paths = json.loads((collected / "staticfiles.json").read_text())["paths"]
    modules = [collected / name for source, name in paths.items() if re.match(r"chat/js/.*\.js$", source)]
    imports = [(module, name) for module in modules for name in IMPORT.findall(module.read_text())]
    assert len(imports) > 5
    assert [(module.name, name) for module, name in imports if not HASHED.search(name)] == []
    assert all((module.parent / name).is_file() for module, name in imports)


def test_dynamic_imports_and_workers_are_not_used() -> None:
    """Their names would keep no hash, so that a new page could load an old module."""
    sources = list((Path(__file__).parent.parent / "chat/static/chat/js").rglob("*.js"))
    assert sources
    for file in sources:
        assert not re.search(r"\bimport\(|new (Shared)?Worker\(", file.read_text()), file.name
