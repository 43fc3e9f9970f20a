"""Grids: what a cell is made of, what identifies it, and what is refused."""

from pathlib import Path

import pytest

from bitgate.errors import ArgumentError, FormatError
from bitgate.reproduce import find_grids, load_grid

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


def test_rules_apply_in_order_and_a_cell_has_the_last_word(grid_file):
    text = grid_file.read_text().replace("name: r, method: r,", "name: r, method: r, batch_size: 16,")
    grid_file.write_text(text)
    qat, r = load_grid(grid_file).cells
    assert (qat.options["epochs"], r.options["epochs"]) == (2, 3)
    assert (qat.options["batch_size"], r.options["batch_size"]) == (32, 16)
    assert r.published == {"sample": (90, 1), "map": (91, 2)}


def test_first_trials_come_before_second_ones(grid_file):
    order = [(trial.cell.name, trial.number, trial.seed) for trial in load_grid(grid_file).schedule()]
    assert order == [("qat", 1, 0), ("r", 1, 0), ("qat", 2, 1), ("r", 2, 1)]


def test_identity_is_that_of_what_is_computed(grid_file):
    (cell, _), text = load_grid(grid_file).cells, grid_file.read_text()

    def identity_with(old: str, new: str) -> str:
        grid_file.write_text(text.replace(old, new))
        return load_grid(grid_file).cells[0].identity

    assert identity_with("name: qat", "name: other") == cell.identity
    assert identity_with("batch_size: 32", "batch_size: 32, threads: 2, accelerator: auto") == cell.identity
    assert identity_with("batch_size: 32", "batch_size: 32, dropout: 0.0") == cell.identity, "a default changes nothing"
    assert identity_with("batch_size: 32", "batch_size: 31") != cell.identity
    assert identity_with("hidden_sizes: [6]", "hidden_sizes: [7]") != cell.identity


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("batch_size: 32", "batchsize: 32", "batchsize"),
        ("batch_size: 32", "batch_size: -1", "batch_size: -1"),
        ("name: r,", "name: qat,", "qat given twice"),
        ("title: Tiny", "figure: pie\ntitle: Tiny", "figure: 'pie'"),
        ("cells:", "boxes:", "cells"),
        ("map: [90, 1]", "map: 90", "no valid grid"),
        ("trials: 2", "trials: [", "no valid grid"),
    ],
)
def test_damaged_grids_are_refused_by_file_and_reason(grid_file, old, new, reason):
    grid_file.write_text(grid_file.read_text().replace(old, new, 1))
    with pytest.raises(FormatError, match=r"digits\.yaml") as refused:
        load_grid(grid_file)
    assert reason in str(refused.value)


def test_options_of_another_grid_come_first(grid_file):
    other = grid_file.with_name("other.yaml")
    other.write_text(
        "title: Other\ntrials: 1\noptions_of: digits\noptions:\n  - {when: {method: qat}, set: {epochs: 7}}\n"
        "cells:\n  - {name: same, method: r}\n  - {name: longer, method: qat}\n"
    )
    qat, r = load_grid(grid_file).cells
    same, longer = load_grid(other).cells
    assert same.identity == r.identity, "equal options are one experiment"
    assert longer.options == {**qat.options, "epochs": 7}
    other.write_text(other.read_text().replace("options_of: digits", "options_of: letters"))
    with pytest.raises(FormatError, match=r"options_of: 'letters', but there is no letters.yaml"):
        load_grid(other)


def test_parts_of_a_grid(grid_file, digits):
    grid = load_grid(grid_file)
    assert [cell.name for cell in grid.only(names=["qa"]).cells] == ["qat"]
    assert [cell.name for cell in grid.only(names=["r"]).cells] == ["r"]
    longer = grid_file.read_text().replace("name: qat", "name: lr")
    grid_file.write_text(longer)
    assert [cell.name for cell in load_grid(grid_file).only(names=["r"]).cells] == ["r"], "a whole name is only itself"
    assert len(grid.only(data=[str(digits)]).cells) == 2
    with pytest.raises(ArgumentError, match="dataset: 'digit'"):
        grid.only(data=["digit"])
    with pytest.raises(ArgumentError, match="cell: x"):
        grid.only(names=["x"])
    with pytest.raises(ArgumentError, match="trials: 0"):
        grid.with_trials(0)


@pytest.mark.parametrize("name", sorted(find_grids(EXPERIMENTS)))
def test_the_grids_of_this_project_are_valid(name):
    grid = load_grid(find_grids(EXPERIMENTS)[name])
    assert grid.name == name
    assert len({cell.identity for cell in grid.cells}) == len(grid.cells), "two cells train the same"


def test_table_1_has_all_cells():
    cells = load_grid(EXPERIMENTS / "dlstm" / "table1.yaml").cells
    assert len(cells) == 4 * (1 + 2 * 2 * 3)
    assert sum(len(cell.published) for cell in cells) == 4 * (1 + 2 * 2 * 5)
