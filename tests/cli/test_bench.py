"""``bitgate bench`` on one tiny size, and the plot of its rows."""

import json
from pathlib import Path

import pytest

from bitgate import runtime
from bitgate.bench import PEERS, measure
from bitgate.bench.measure import Plan
from bitgate.bench.peers import Contestant
from bitgate.cli.main import main
from bitgate.runtime import engines

pytestmark = pytest.mark.skipif(not runtime.native_available(), reason=runtime.native_status())


def test_bench_against_torch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "bench.json"
    main(["bench", "--against", "torch", "--sizes", "8", "16", "--seconds", "0.05", "-o", str(target)])
    out, err = capsys.readouterr()
    assert "torch" in out
    assert "left" in err
    written = json.loads(target.read_text())
    assert [row["size"] for row in written["rows"]] == [8, 16]
    for row in written["rows"]:
        assert set(row["us_per_step"]) == {"bitgate", "torch"}
        assert row["best_peer"] == {"step": "torch", "run": "torch"}
        for entry in row["us_per_step"].values():
            assert 0 < entry["step"]["low"] <= entry["step"]["median"] <= entry["step"]["high"]
        assert row["floor_us"]["2"] > row["floor_us"]["8"] > 0
    assert written["machine"]["simd_path"] == runtime.simd_path()
    assert target.with_suffix(".svg").stat().st_size > 5000


def test_ours_takes_a_second_thread_where_it_pays() -> None:
    rows, _ = measure(Plan([8, 512], threads=(1, 2), against=("torch",), seconds=0.05, steps=4), lambda text: None)
    assert [(row["threads"], row["size"], row["our_threads"]) for row in rows] == [
        (1, 8, 1),
        (1, 512, 1),
        (2, 8, 1),
        (2, 512, min(2, engines.count_cores())),
    ]


@pytest.mark.slow
def test_all_peers_that_are_installed() -> None:
    """Every peer runs its own layer; in a row without any, ours stands alone."""
    rows, skipped = measure(Plan([8], seconds=0.05, steps=4), lambda text: None)
    assert set(rows[0]["us_per_step"]) == {"bitgate", *PEERS} - set(skipped)
    assert {"torch", "torch-int8"} <= set(rows[0]["us_per_step"])
    alone, _ = measure(Plan([8], against=(), seconds=0.05), lambda text: None)
    assert alone[0]["of_best_peer"] == {}


def test_missing_peers_are_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def missing(size: int, steps: int, threads: int) -> Contestant:
        raise ImportError("No module named 'openvino'")

    monkeypatch.setitem(PEERS, "openvino", missing)  # type: ignore[arg-type]
    main(["bench", "--against", "openvino", "--sizes", "8", "--seconds", "0.02", "--json"])
    out, err = capsys.readouterr()
    assert "openvino left out: not installed (No module named 'openvino')" in err
    assert json.loads(out)["skipped"] == {"openvino": "not installed (No module named 'openvino')"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--against", "torch,numpy"], "--against: unknown 'numpy'"),
        (["--sizes", "0"], "--sizes"),
        (["--state-bits", "7"], "--state-bits: 7, expected 8 to 16"),
        (["--seconds", "0"], "--seconds: 0.0, expected a positive number"),
    ],
)
def test_bad_arguments(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["bench", *arguments])
    assert message in capsys.readouterr().err
