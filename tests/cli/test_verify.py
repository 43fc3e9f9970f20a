"""``bitgate verify`` as its user meets it."""

import json
from pathlib import Path

import numpy as np
import pytest

from bitgate.cli import main
from bitgate.cli import verify as verb
from bitgate.export.difference import Difference
from bitgate.export.verify import Verification
from tests.export.build import COMPILERS
from tests.export.targets import target_parameters
from tests.frozen.make import random_frozen_model

needs_compiler = pytest.mark.skipif(not COMPILERS, reason="no C compiler")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.bitgate"
    random_frozen_model(np.random.default_rng(0)).with_metadata(data=str(tmp_path / "data.npz")).save(path)
    x = np.random.default_rng(1).normal(size=(30, 6, 3)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x, y=np.arange(30) % 4)
    return path


@needs_compiler
def test_own_data_and_a_file(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["verify", str(model), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["is_equal"]
    assert told["n_sequences"] == 4  # the test part of 30 sequences
    main(["verify", str(model), "--data", str(model.parent / "data.npz"), "--sequences", "7", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert (told["n_sequences"], told["n_steps"]) == (7, 42)
    main(["verify", str(model), "--target", "host"])
    assert "equal" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("target", target_parameters("unicorn", "wasmtime"))
def test_targets(model: Path, target: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["verify", str(model), "--target", target, "--optimize", "Os", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["is_equal"]
    assert told["step_count_mean"] > 0
    assert "zig cc" in told["compiler"]
    assert "-Os" in told["compiler"]
    main(["verify", str(model), "--target", target])
    assert "per step" in capsys.readouterr().out


@needs_compiler
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_difference_ends_with_one(
    model: Path, options: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = verb.verify

    def different(*arguments: object, **named: object) -> Verification:
        result = whole(*arguments, **named)
        return Verification(**{**vars(result), "difference": Difference(0, 3, 1, "c", 5, 7, 8)})

    monkeypatch.setattr(verb, "verify", different)
    with pytest.raises(SystemExit, match="1"):
        main(["verify", str(model), *options])
    told = capsys.readouterr()
    assert "sequence 0, step 3, layer 1, c, unit 5: 8, but the interpreter has 7" in told.err
    assert not options or json.loads(told.out)["difference"]["unit"] == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "cortex-m33"], "target"),
        (["--data", "nothing"], "no data set is called 'nothing'"),
        (["--sequences", "0"], "at least one is needed"),
    ],
)
def test_wrong_arguments(model: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["verify", str(model), *arguments])
    assert message in capsys.readouterr().err


def test_no_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random_frozen_model(np.random.default_rng(0)).save(tmp_path / "m.bitgate")
    with pytest.raises(SystemExit, match="2"):
        main(["verify", str(tmp_path / "m.bitgate")])
    assert "give --data" in capsys.readouterr().err
