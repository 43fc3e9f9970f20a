"""Help that helps: every verb says what it does, with examples, in the spelling of a command line."""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from bitgate import __version__
from bitgate.cli.main import VERBS
from bitgate.cli.parser import make_parser, normalize

EXPECTED = {"demo", "fit", "eval", "freeze", "info", "export", "run", "data"}


def test_the_verbs_are_those_of_the_contract():
    assert set(VERBS) >= EXPECTED


@pytest.mark.parametrize("flag", ["-h", "--help", "help"])
def test_overview_names_every_verb_and_a_first_session(bitgate, flag):
    answer = bitgate(flag)
    assert (answer.code, answer.err) == (0, "")
    for verb, (_, text) in VERBS.items():
        assert re.search(rf"^  {verb} +{re.escape(text)}$", answer.out, re.M)
    assert "bitgate demo" in answer.out.split("a first session:")[1]


def test_no_verb_at_all_shows_the_overview_and_fails(bitgate):
    answer = bitgate()
    assert answer.code == 2
    assert "a first session:" in answer.out


def test_version(bitgate):
    assert bitgate("--version") == (0, f"bitgate {__version__}\n", "")


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_helps(bitgate, verb):
    answer = bitgate(verb, "--help")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith(f"usage: bitgate {verb} ")
    examples = answer.out.split("examples:\n")[1].strip().splitlines()
    assert examples
    assert all(line.strip().startswith(f"bitgate {verb}") for line in examples)
    assert "--json" in answer.out
    options = re.findall(r"(?<![\w-])--[\w-]+", answer.out)
    assert options
    assert not [option for option in options if "_" in option], "options are spelled with dashes"


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_option_is_explained(verb):
    parser = make_parser(import_module(VERBS[verb][0]).VERB)
    unexplained = [action.dest for action in parser._actions if not action.help]
    assert not unexplained


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_examples_use_options_that_exist(verb):
    record = import_module(VERBS[verb][0]).VERB
    known = {text for action in make_parser(record)._actions for text in action.option_strings}
    used = [word for word in normalize(record.examples.split()) if word.startswith("-")]
    assert set(used) <= known


def test_the_installed_command_works():
    command = Path(sys.executable).with_name("bitgate")
    done = subprocess.run([command, "info", "--jsn"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("bitgate: error: unrecognized arguments: --jsn; did you mean --json?")


def test_python_module_is_the_command(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "bitgate", "export", "--help"], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stdout.startswith("usage: bitgate export ")
    done = subprocess.run([sys.executable, "-m", "bitgate", "exprot"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "did you mean export" in done.stderr
