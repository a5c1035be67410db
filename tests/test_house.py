"""The house in order: layers hold, and what people meet by name is in the documentation."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from argparse import SUPPRESS, ArgumentParser, _SubParsersAction
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from django.core.management import call_command, get_commands, load_command_class

from chat import errors
from chat.routing import namespaces

ROOT = Path(__file__).parent.parent
SOURCES = [file for folder in ("chat", "chatsite") for file in (ROOT / folder).rglob("*.py")]


@cache
def text(*names: str) -> str:
    return "\n".join((ROOT / name).read_text() for name in names)


def documented(word: str, *names: str) -> bool:
    """Whether the word stands in backticks, alone or at the head of what it takes."""
    return re.search(rf"`{re.escape(word)}[`\s=(]", text(*names)) is not None


def missing(words: list[str], *names: str) -> list[str]:
    return sorted(word for word in words if not documented(word, *names))


# Layers


def test_each_layer_imports_only_what_is_below_it() -> None:
    lint = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    ended = subprocess.run(
        [sys.executable, "-c", lint], cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert ended.returncode == 0, ended.stdout


def test_nothing_imports_the_site() -> None:
    found = [file for file in (ROOT / "chat").rglob("*.py") if re.search(r"\bchatsite\.", file.read_text())]
    # Names of modules in strings, for servers to import, are no imports.
    assert [
        file.name for file in found if re.search(r"^\s*(from|import) chatsite", file.read_text(), re.M)
    ] == []


def test_sql_is_written_by_hand_in_delivery_alone() -> None:
    by_hand = re.compile(r"\.cursor\(\)|\bRawSQL\b|\.raw\(|\.extra\(\s*(select|where)")
    found = {file.relative_to(ROOT).parts[1] for file in SOURCES if by_hand.search(file.read_text())}
    assert found <= {"delivery"}


@pytest.mark.django_db
def test_the_migrations_make_what_the_models_say() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


# Documentation


def test_every_error_code_is_in_the_protocol() -> None:
    assert missing(sorted(errors.CODES), "docs/protocol.md") == []


def test_every_close_code_is_in_the_protocol() -> None:
    assert missing([str(int(code)) for code in errors.Close], "docs/protocol.md") == []


@pytest.mark.parametrize("namespace", namespaces, ids=lambda namespace: namespace.path)
def test_every_event_is_in_the_protocol(namespace: object) -> None:
    assert missing(event_names(namespace), "docs/protocol.md") == []


def event_names(namespace: object) -> list[str]:
    """What `@on(…)` registers in the files of the namespace and of what it is made of."""
    modules = {sys.modules[each.__module__].__file__ for each in type(namespace).__mro__[:-1]}
    return re.findall(r'@on\("([^"]+)"', "".join(Path(file or "").read_text() for file in modules))


def test_every_test_that_the_documentation_names_is_there() -> None:
    tests = "\n".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    named = {
        name
        for file in (ROOT / "docs").glob("*.md")
        for name in re.findall(r"`(test_\w+)`", file.read_text())
    }
    assert sorted(name for name in named if f"def {name}(" not in tests) == []


def test_every_file_that_the_documentation_names_is_there() -> None:
    for document in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        links = re.findall(r"\]\(([^)#:]+)[^):]*\)", document.read_text())
        links += re.findall(r'(?:src|srcset)="([^":]+)"', document.read_text())
        sources = re.findall(
            r"`((?:chat|chatsite|tests|docs|bench|templates)/[\w./-]+\.\w+)`", document.read_text()
        )
        absent = [name for name in links if not (document.parent / name).exists()]
        absent += [name for name in sources if not (ROOT / name).exists()]
        assert absent == [], document.name


def test_every_variable_of_the_environment_is_in_the_readme() -> None:
    read = re.findall(r'\b(?:text|words|flag)\("([A-Z_]+)"', text("chatsite/env.py", "chatsite/settings.py"))
    assert set(read) > {"HOST", "PORT", "SECRET_KEY"}
    assert missing(read, "README.md") == []


COMMANDS = sorted(file.stem for file in (ROOT / "chat/management/commands").glob("[a-z]*.py"))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_every_option_of_it_is_in_its_documentation(name: str) -> None:
    parser = load_command_class("chat", name).create_parser("manage.py", name)
    _, heading, section = text("docs/commands.md").partition(f"\n## `{name}`\n")
    assert heading, f"docs/commands.md has no section on {name}"
    section = section.partition("\n## ")[0]
    assert [name for name in names_of_arguments(parser) if not re.search(rf"`{name}[`\s]", section)] == []


def names_of_arguments(parser: ArgumentParser) -> set[str]:
    """The longest name of each option and the metavar of each argument, of the acts of a command too."""
    names: set[str] = set()
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            names |= {*action.choices}.union(*map(names_of_arguments, action.choices.values()))
        elif action.help != SUPPRESS and action.dest != "help":
            names.add(max(action.option_strings, key=len) if action.option_strings else str(action.metavar))
    return names


def test_every_command_that_the_documentation_names_is_there() -> None:
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    named = {name for file in documents for name in re.findall(r"manage\.py ([a-z_]+)", file.read_text())}
    assert sorted(named - get_commands().keys()) == []


def test_every_target_of_make_is_in_its_help() -> None:
    targets = re.search(r"^\.PHONY: (.*)$", text("Makefile"), re.M)
    assert targets
    assert [
        name for name in targets[1].split() if not re.search(rf"^{name}:.* ## ", text("Makefile"), re.M)
    ] == []


# Dependencies


def requirements(name: str) -> dict[str, str]:
    """Packages of a requirements file, with their versions."""
    pins = re.findall(r"^([A-Za-z0-9_.-]+)(?:\[[a-z,]+\])?==([^\s;]+)", text(name), re.M)
    return {re.sub(r"[-_.]+", "-", package).lower(): version for package, version in pins}


def test_every_requirement_is_pinned() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        lines = [line for line in text(name).splitlines() if line and not line.startswith(("#", "-r "))]
        assert len(lines) == len(requirements(name))


@pytest.mark.parametrize(
    ("folders", "files"),
    [
        (["chat", "chatsite"], ["requirements.txt"]),
        (["tests", "bench"], ["requirements.txt", "requirements-dev.txt"]),
    ],
    ids=["server", "tests"],
)
def test_every_import_is_required(folders: list[str], files: list[str]) -> None:
    required = {name for file in files for name in requirements(file)}
    distributions = packages_distributions()
    local = {"chat", "chatsite", "tests", "bench", *sys.stdlib_module_names}
    sources = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    for package in {name for file in sources for name in imports(file)} - local:
        names = {re.sub(r"[-_.]+", "-", name).lower() for name in distributions.get(package, [package])}
        assert names & required, f"{package} is not in {' or '.join(files)}"


def imports(file: Path) -> set[str]:
    """The top-level packages that a file imports."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    named = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and node.level == 0}
    return {name.partition(".")[0] for name in plain | named}


def test_every_direct_requirement_is_accounted_for() -> None:
    direct = text("requirements.txt").partition("# What these need")[0]
    packages = re.findall(
        r"^([A-Za-z0-9_.-]+)(?:\[[a-z,]+\])?==", direct + text("requirements-dev.txt"), re.M
    )
    assert missing(packages, "docs/dependencies.md") == []
