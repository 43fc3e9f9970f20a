"""Published against ours: means, deviations and verdicts by hand; figures that draw what there is."""

import json

import pytest

from bitgate.errors import FormatError
from bitgate.reproduce import Results, compare, draw, find_grids, load_grid, to_markdown
from bitgate.reproduce.results import append
from tests.reproduce.test_grid import EXPERIMENTS


def write_results(grid, *rows):
    grid.results_file.parent.mkdir(exist_ok=True)
    grid.results_file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Results.read(grid)


def row(cell, trial, seconds=1800, **test):
    curve = [[1, 2], [0.5, 0.25]]
    curves = {"entropy_bits": curve, "val_sample": curve}
    return {
        "config": cell.identity,
        "trial": trial,
        "test": test,
        "bits": 54720,
        "seconds": seconds,
        "curves": curves,
    }


def test_by_hand(grid_file):
    grid = load_grid(grid_file)
    qat, r = grid.cells
    results = write_results(
        grid,
        row(qat, 1, map=0.88),
        row(qat, 2, map=0.90),
        row(r, 1, sample=0.9, map=0.905),
        row(r, 9, map=1.0) | {"config": "old"},
    )
    a, b, c = compare(grid, results)
    assert (a.cell, a.metric, a.trials, a.core_hours) == ("qat", "map", 2, 1.0)
    assert (a.mean, a.std) == (pytest.approx(89), pytest.approx(2**0.5))
    assert (a.difference, a.overlap, a.reached) == (pytest.approx(-1), True, True)
    assert (b.metric, b.std, b.overlap, b.reached) == ("sample", None, None, True)
    assert (c.metric, c.difference, c.reached) == ("map", pytest.approx(-0.5), True)


@pytest.mark.parametrize(
    ("ours", "overlap", "reached"), [(0.93, False, True), (0.85, False, False), (0.896, True, True)]
)
def test_verdicts(grid_file, ours, overlap, reached):
    grid = load_grid(grid_file)
    results = write_results(grid, row(grid.cells[0], 1, map=ours), row(grid.cells[0], 2, map=ours))
    (comparison,) = compare(grid, results)
    assert (comparison.overlap, comparison.reached) == (overlap, reached)


def test_markdown_tells_both(grid_file):
    grid = load_grid(grid_file)
    text = to_markdown(compare(grid, write_results(grid, row(grid.cells[0], 1, map=0.885))), title="T")
    assert "| qat | map | 90.00±1.00 | 88.50 | -1.50 |  | 1 |" in text
    assert "0 of 1 figures" in text
    assert "0.5 core-hours" in text


def test_ensembles_stand_beside_the_sample_and_are_counted_apart(grid_file):
    grid_file.write_text(
        grid_file.read_text().replace("trials: 2\n", "trials: 2\ncolumns: [cell, metric, ours, ensemble]\n")
    )
    grid = load_grid(grid_file)
    _, r = grid.cells
    low = write_results(grid, row(r, 1, sample=0.5, map=0.905, ensemble=0.88), row(r, 2, sample=0.5, ensemble=0.92))
    table = to_markdown(compare(grid, low), title="T", columns=grid.columns)
    assert "| r | sample | 50.00±0.00 | 90.00 |" in table
    assert "| r | map | 90.50 |  |" in table
    assert "1 of 2 figures at least the published mean less its deviation (0.5 at least), 2 with the ensemble" in table


def test_grids_that_share_a_cell_share_its_rows(grid_file):
    other = grid_file.with_name("other.yaml")
    other.write_text(grid_file.read_text().replace("name: qat", "name: same"))
    first, second = load_grid(grid_file), load_grid(other)
    write_results(first, row(first.cells[0], 1, map=0.9))
    assert [comparison.cell for comparison in compare(second, Results.read(second))] == ["same"]


def test_a_trial_stands_in_the_file_once(tmp_path):
    path = tmp_path / "results" / "grid.jsonl"
    row = {"config": "abc", "trial": 1, "test": {"map": 0.5}}
    assert append(path, row)
    assert not append(path, row | {"seconds": 3.0}), "another process has finished it in the meantime"
    assert append(path, row | {"trial": 2})
    assert append(path, row | {"config": "abd"})
    assert len(path.read_text().splitlines()) == 3


def test_a_damaged_line_is_named(grid_file):
    grid = load_grid(grid_file)
    write_results(grid)
    grid.results_file.write_text('{"config": "a"}\n{"conf')
    with pytest.raises(FormatError, match=r"digits.jsonl, line 2"):
        Results.read(grid)


LARGE = ("dlstm/table1", "dlstm/fig2", "dlstm/equal_bits", "dlstm/annealing")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in sorted(find_grids(EXPERIMENTS))],
)
def test_every_grid_draws_its_figure(name, tmp_path):
    """With results, made up here, and without any."""
    target = tmp_path / "experiments" / f"{name}.yaml"
    target.parent.mkdir(parents=True)
    for path in find_grids(EXPERIMENTS)[name].parent.glob("*.yaml"):  # a grid may take options of another one
        (target.parent / path.name).write_text(path.read_text())
    grid = load_grid(target)
    draw(grid, Results(()), [tmp_path / "empty.png"])
    results = write_results(grid, *(row(cell, n, map=0.9, sample=0.8 + n / 100) for cell in grid.cells for n in (1, 2)))
    draw(grid, results, [tmp_path / "a.svg", tmp_path / "a.png"])
    draw(grid, results, [tmp_path / "b.svg"])
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes() != b""
    assert (tmp_path / "a.png").stat().st_size > (tmp_path / "empty.png").stat().st_size


def test_claims_costs_and_notes_stand_in_the_table(grid_file):
    text = grid_file.read_text().replace(
        "trials: 2\n", "trials: 2\ncolumns: [cell, claimed, bits, s/epoch, recurrent, µs/step]\nnote: Ours.\n"
    )
    grid_file.write_text(text)
    grid = load_grid(grid_file)
    cell = grid.cells[0]
    costs = {"epochs": 9, "recurrent_parameters": 16897, "parameters": 5, "step_us": 2.5}
    results = write_results(grid, row(cell, 1, map=0.88) | costs, row(cell, 2, map=0.90) | costs | {"step_us": 3.5})
    table = to_markdown(compare(grid, results), title="T", columns=grid.columns, note=grid.note)
    assert "| cell | claimed | bits | s/epoch | recurrent | µs/step |" in table
    assert "| 54,720 | 200 | 16,897 | 3 |" in table
    assert "\n\nOurs.\n\n" in table


def test_an_unknown_column_is_refused(grid_file):
    grid_file.write_text(grid_file.read_text().replace("trials: 2\n", "trials: 2\ncolumns: [cell, price]\n"))
    with pytest.raises(FormatError, match="columns: 'price', expected one of"):
        load_grid(grid_file)
