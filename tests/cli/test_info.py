"""``bitgate info`` of a frozen model: operations, energy, and bytes by target."""

import numpy as np
import pytest

from bitgate.cli import cost_report
from bitgate.errors import ToolError
from bitgate.frozen import energy
from tests.export.build import COMPILERS
from tests.export.targets import target_parameters
from tests.frozen.make import random_frozen_model

COUNTS = ("code_bytes", "constant_bytes", "flash_bytes", "ram_bytes")
needs_compiler = pytest.mark.skipif(not COMPILERS, reason="no C compiler")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.bitgate"
    random_frozen_model(np.random.default_rng(0), state_bits=8, cell="coupled_lstm").save(path)
    return path


@pytest.fixture
def without_extra(monkeypatch):
    monkeypatch.setattr(cost_report, "find_spec", lambda name: None)


@needs_compiler
def test_costs_of_this_machine(bitgate, file, monkeypatch):
    told = bitgate("info", file, "--target", "host", "--json").json
    assert [row["way"] for row in told["operations"]] == [
        "needed, zeros free",
        "plain kernels",
        "table kernels",
        "lanes kernels",
        "the same in float32",
    ]
    assert told["operations"][0]["additions"] == told["additions"]
    assert [row["kernels"] for row in told["targets"]] == ["plain", "table", "lanes"]
    for row in told["targets"]:
        assert row["flash_bytes"] == row["code_bytes"] + row["constant_bytes"] > told["weight_bytes"]
    rows = {row["kernels"]: row for row in told["targets"]}
    monkeypatch.setattr(cost_report, "_measure", lambda frozen, target, kernels: rows[kernels])  # built once is enough
    monkeypatch.setenv("COLUMNS", "90")
    answer = bitgate("info", file, "--target", "host")
    assert energy.SOURCE.split(" (")[0] in " ".join(answer.out.split())
    for row in told["targets"]:
        assert all(str(row[name]) in answer.out for name in COUNTS)
    assert max(map(len, answer.out.splitlines()[10:])) <= 90


@needs_compiler
def test_without_the_extra_this_machine_is_told_and_how_to_get_the_rest(bitgate, file, without_extra):
    out = " ".join(bitgate("info", file).out.split())
    assert "host plain" in out
    assert "pip install 'bitgate[mcu]'" in out


def test_without_any_compiler_the_rest_is_told(bitgate, file, without_extra, monkeypatch):
    def fail(*arguments, **options):
        raise ToolError("no C compiler found: install gcc or clang")

    monkeypatch.setattr(cost_report, "build_image", fail)
    told = bitgate("info", file, "--json").json
    assert (told["targets"], told["targets_missing"]) == ([], "no C compiler found: install gcc or clang")
    answer = bitgate("info", file, "--target", "host")
    assert answer.code == 2
    assert "install gcc or clang" in answer.err


def test_gate_maps_and_skips_are_told(bitgate, tmp_path, without_extra):
    path = tmp_path / "ql.bitgate"
    options = {"sharing": "psug2", "block_size": 16, "range_bits": 1, "state_bits": 8}
    random_frozen_model(np.random.default_rng(0), **options).save(path)
    text = " ".join(bitgate("info", path).out.split())
    assert "lstm, 2 shared" in text
    assert "every 16, range ±2" in text
    told = bitgate("info", path, "--json").json
    assert "table kernels" in {row["way"] for row in told["operations"]}
    assert told["ram_bytes"] == 2 * (5 + 5 + 5 + 1 + 5)


def test_a_bidirectional_model_has_costs_but_no_program(bitgate, tmp_path, without_extra):
    path = tmp_path / "both.bitgate"
    random_frozen_model(np.random.default_rng(0), bidirectional=True).save(path)
    told = bitgate("info", path, "--json").json
    assert told["additions"] > 0
    assert "bidirectional" in told["targets_missing"]


@pytest.mark.slow
@pytest.mark.parametrize("target", target_parameters("unicorn"))
def test_costs_of_a_core(bitgate, file, target):
    told = bitgate("info", file, "--target", target, "--json").json
    assert [row["target"] for row in told["targets"]] == [target] * 3
    plain, table, lanes = (row["ram_bytes"] for row in told["targets"])
    assert plain < lanes < table
