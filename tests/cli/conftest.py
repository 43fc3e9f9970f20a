"""The command line in this process, and one tiny run that many tests look at."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bitgate.cli import main
from tests.train.tiny import write_digits


class Answer(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Call = Callable[..., Answer]


@pytest.fixture
def bitgate(capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs ``bitgate ARGUMENTS...``."""

    def call(*arguments: object) -> Answer:
        capsys.readouterr()
        code = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = 0 if end.code is None else end.code if isinstance(end.code, int) else 1
        return Answer(code, *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def digits_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digits(tmp_path_factory.mktemp("cli") / "digits.npz")


TINY = ("--hidden-sizes", "6", "--epochs", "2", "--draws", "2", "--batch-size", "32")


@pytest.fixture(scope="session")
def run_folder(digits_file: Path) -> Path:
    """A finished run."""
    runs = digits_file.parent / "runs"
    main(["fit", "--data", str(digits_file), "--runs-dir", str(runs), "--name", "tiny", *TINY])
    return runs / "tiny"


@pytest.fixture(scope="session")
def model_file(run_folder: Path) -> Path:
    """That run, frozen."""
    target = run_folder.parent.parent / "tiny.bitgate"
    main(["freeze", str(run_folder), "-o", str(target)])
    return target
