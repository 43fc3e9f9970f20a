"""The loader's fuzzer in small, without libFuzzer: the kept corpus, and mutations of it."""

import random
from pathlib import Path

import pytest
from fuzz.loading import check
from fuzz.mutate import join, mutate, split

from bitgate.frozen import interpreter
from bitgate.runtime import native_available
from fuzz import seeds

CORPUS = sorted((Path(__file__).parents[2] / "fuzz" / "corpus" / "load").glob("*"))
pytestmark = pytest.mark.skipif(not native_available(), reason="the native runtime is the second opinion")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("seeds")
    seeds.write_load(folder)
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def test_the_corpus_has_models_and_other_files() -> None:
    assert len(CORPUS) > 20
    accepted = [check(path.read_bytes()) for path in CORPUS]
    assert any(accepted)
    assert not all(accepted)


def test_seeds_are_models(models: list[bytes]) -> None:
    assert len(models) == 12
    assert all(check(raw) for raw in models)


def test_a_container_survives_taking_apart(models: list[bytes]) -> None:
    parts = split(models[0])
    assert parts is not None
    assert check(join(*parts))
    assert split(b"PK") is None


def test_mutants_give_a_model_or_a_format_error(models: list[bytes]) -> None:
    source = random.Random(0)
    accepted = sum(check(mutate(source.choice(models), source)) for _ in range(300))
    assert 10 < accepted < 290, "mutations that all fail, or that change nothing, test little"


def test_a_disagreement_would_be_found(models: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter that rounds down."""
    monkeypatch.setattr(interpreter, "round_shift", lambda value, shift: value >> shift)
    with pytest.raises(AssertionError, match="disagree"):
        assert all(check(raw) for raw in models)
