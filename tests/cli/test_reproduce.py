"""``bitgate reproduce``: what it lists, runs, writes and refuses."""

import json
from pathlib import Path

import pytest

from bitgate.reproduce import load_grid, run_grid
from tests.cli.test_errors import refused
from tests.reproduce.conftest import digits, grid_file

__all__ = ["digits", "grid_file"]


@pytest.fixture
def experiments(grid_file) -> Path:
    return grid_file.parents[1]


def test_lists_grids_with_what_is_done(bitgate, experiments):
    answer = bitgate("reproduce", "--experiments", experiments, "--json")
    assert answer.json == [{"name": "tiny/digits", "title": "Tiny", "trials": 4, "done": 0}]
    assert "0/4" in bitgate("reproduce", "--experiments", experiments).out


@pytest.mark.slow
def test_runs_and_writes_table_and_figure(bitgate, experiments, tmp_path):
    where = ("--experiments", experiments, "--runs-dir", tmp_path / "runs")
    answer = bitgate("reproduce", "tiny/digits", *where, "--trials", 1, "--jobs", 2, "--json")
    assert [(entry["cell"], entry["metric"]) for entry in answer.json] == [
        ("qat", "map"),
        ("r", "sample"),
        ("r", "map"),
    ]
    results = experiments / "tiny" / "results"
    assert {path.name for path in results.iterdir()} == {
        f"digits.{kind}" for kind in ("jsonl", "json", "md", "svg", "png")
    }
    assert json.loads((results / "digits.json").read_text()) == answer.json
    assert "2/4" in bitgate("reproduce", *where).out
    before = (results / "digits.jsonl").read_bytes()
    assert bitgate("reproduce", "tiny/digits", *where, "--table", "--json").json == answer.json
    assert (results / "digits.jsonl").read_bytes() == before


def test_table_without_results(bitgate, experiments):
    answer = bitgate("reproduce", "tiny/digits", "--experiments", experiments, "--table", "--json")
    assert (answer.code, answer.json) == (0, [])


def test_table_of_a_grid_whose_results_are_all_those_of_another(bitgate, experiments, tmp_path):
    grid = load_grid(experiments / "tiny" / "digits.yaml")
    (copy := experiments / "other" / "digits.yaml").parent.mkdir()
    copy.write_text(grid.path.read_text())
    grid.results_file.parent.mkdir()
    row = {"config": grid.cells[0].identity, "trial": 1, "test": {"map": 0.9}, "seconds": 1.0}
    grid.results_file.write_text(json.dumps(row) + "\n")
    answer = bitgate("reproduce", "other/digits", "--experiments", experiments, "--table", "--json")
    assert [(entry["cell"], entry["mean"]) for entry in answer.json] == [("qat", 90.0)]
    assert (copy.parent / "results" / "digits.md").exists()


def test_refusals(bitgate, experiments, tmp_path):
    where = ("--experiments", experiments)
    refused(bitgate("reproduce", "tiny/digit", *where), "no grid 'tiny/digit'", "did you mean tiny/digits")
    refused(bitgate("reproduce", "--experiments", tmp_path / "none"), "no grids in", "--experiments")
    refused(bitgate("reproduce", "tiny/digits", *where, "--dataset", "mnist"), "dataset: 'mnist'")
    refused(bitgate("reproduce", "tiny/digits", *where, "--cell", "lr"), "cell: lr", "qat, r")
    refused(bitgate("reproduce", "tiny/digits", *where, "--trials", "0"), "trials: 0")
    refused(bitgate("reproduce", "tiny/digits", *where, "--jobs", "0"), "jobs: 0")


@pytest.mark.slow
def test_results_of_other_options_are_kept_but_not_shown(bitgate, experiments, tmp_path):
    """Results of the grid as it was are no results of the grid as it is."""
    grid = load_grid(experiments / "tiny" / "digits.yaml")
    assert run_grid(grid.with_trials(1).only(names=["qat"]), runs_dir=str(tmp_path), jobs=1, progress=False) == 1
    grid.path.write_text(grid.path.read_text().replace("epochs: 2", "epochs: 4"))
    assert bitgate("reproduce", "tiny/digits", "--experiments", experiments, "--table", "--json").json == []
    assert len(grid.results_file.read_text().splitlines()) == 1
