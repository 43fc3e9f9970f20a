"""What the README shows runs, and what the documents link to exists."""

import re
import shlex
from pathlib import Path

import pytest

from bitgate.cli import main
from bitgate.cli.main import VERBS

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCUMENTS = sorted([README, *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md"), *ROOT.glob("experiments/**/*.md")])

FENCE = re.compile(
    r"(?:<!-- not run: (?P<reason>[^\n]+?) -->\s*\n)?^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.M | re.S
)


def blocks(text: str, language: str) -> list[str]:
    """Code of the fenced blocks of a language that are meant to run."""
    return [m["code"] for m in FENCE.finditer(text) if m["language"] == language and m["reason"] is None]


def commands(text: str) -> list[str]:
    """Lines of the shell blocks that call the command line."""
    lines = [line.strip() for block in blocks(text, "sh") for line in block.splitlines()]
    return [line for line in lines if line.startswith("bitgate ")]


def links(text: str) -> list[str]:
    """Targets of the links and images of a document that point into the repository."""
    prose = FENCE.sub("", text)
    targets = re.findall(r"\]\(([^)\s]+)\)|<img[^>]* src=\"([^\"]+)\"", prose)
    found = [a or b for a, b in targets]
    return [target for target in found if not re.match(r"[a-z]+:|#", target)]


def test_blocks_are_recognized():
    text = (
        "a\n```python\nx = 1\n```\n<!-- not run: slow -->\n```sh\nbitgate demo\n```\n```sh\n  bitgate info\nls\n```\n"
    )
    assert blocks(text, "python") == ["x = 1\n"]
    assert commands(text) == ["bitgate info"]
    assert links("[a](docs/x.md) ![b](i.png) [c](https://x.org) [d](#there)\n```\n[e](no)\n```\n") == [
        "docs/x.md",
        "i.png",
    ]


@pytest.mark.slow
def test_python_blocks_of_the_readme_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = blocks(README.read_text(), "python")
    assert len(found) >= 2, "the README shows no Python"
    namespace: dict[str, object] = {"__name__": "readme"}
    for number, block in enumerate(found, 1):
        exec(compile(block, f"README.md, Python block {number}", "exec"), namespace)


@pytest.mark.slow
def test_commands_of_the_readme_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    found = commands(README.read_text())
    assert len(found) >= 3, "the README shows no commands"
    for command in found:
        try:
            main(shlex.split(command, comments=True)[1:])
        except SystemExit as end:
            pytest.fail(f"`{command}` ended with {end.code}: {capsys.readouterr().err}")


def test_verbs_that_documents_name_exist():
    named = {}
    for path in DOCUMENTS:
        text = path.read_text()
        code = " \n ".join([*re.findall(r"`([^`\n]+)`", FENCE.sub("", text)), *blocks(text, "sh")])
        named |= dict.fromkeys(re.findall(r"(?:^|\s)bitgate ([a-z]+)\b", code), path)
    assert len(named) >= 4, "the documents name no verbs"
    unknown = {verb: path.name for verb, path in named.items() if verb not in VERBS}
    assert not unknown


def test_documents_link_to_files_that_exist():
    found = [(path, target) for path in DOCUMENTS for target in links(path.read_text())]
    assert len(found) >= 3, "no links were found"
    broken = [
        f"{path.relative_to(ROOT)}: {target}"
        for path, target in found
        if not (path.parent / target.split("#")[0]).exists()
    ]
    assert not broken


def test_files_that_documents_name_exist():
    """Paths in backticks that begin with a folder of the repository."""
    folders = "src|docs|examples|tests|benchmarks|experiments"
    named = [
        (path, name)
        for path in DOCUMENTS
        for name in re.findall(rf"`((?:{folders})/[\w./-]+)`", FENCE.sub("", path.read_text()))
    ]
    assert len(named) >= 3, "no paths were found"
    missing = [f"{path.relative_to(ROOT)}: {name}" for path, name in named if not (ROOT / name).exists()]
    assert not missing
