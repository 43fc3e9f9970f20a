"""How much of what drawn networks lack is due to weights that are not settled.

    python experiments/dlstm/sharpen.py                       # every cell of Table 1 whose run is in runs/
    python experiments/dlstm/sharpen.py --cell auslan epileptic-binary
    python experiments/dlstm/sharpen.py --table               # the results so far

Every posterior is raised to a power and normalized again (logits times the power): a power of 1 is the trained
posterior, with a large one only the most probable weights are left. If draws gain with the power, it was the entropy
left that cost them accuracy; if they do not, the most probable network itself is the limit. The validation part alone
is looked at, so the trainings of a cell may be changed after it. The runs are those of
`bitgate reproduce dlstm/table1`.
"""

import argparse
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from rich.progress import track

from bitgate.cli.trained import load_trained
from bitgate.nn import Classifier, distributions, mean_entropy_bits
from bitgate.reproduce import Results, Trial, compare, load_grid
from bitgate.reproduce.grid import Cell, Grid
from bitgate.reproduce.readme import insert
from bitgate.train import evaluate
from bitgate.weights import CategoricalWeights

HERE = Path(__file__).parent
RESULTS = HERE / "results"
POWERS = (1.0, 1.5, 2.0, 4.0)
Row = dict[str, Any]


@torch.no_grad()
def sharpen(model: Classifier, power: float) -> Classifier:
    """A copy whose categorical weights have the probabilities ``p ** power``, normalized."""
    sharper = copy.deepcopy(model)
    for weights in distributions(sharper):
        if isinstance(weights, CategoricalWeights):
            weights.logits *= power
    return sharper


def measure(folder: Path, data_dir: str | None) -> Row:
    """Validation accuracy of five draws at every power, and of the mode, at the epoch chosen for draws."""
    model, dataset, config = load_trained(str(folder), mode="sample", data_dir=data_dir)
    found = {power: evaluate(sharpen(model, power), dataset.val, draws=config.draws, seed=0) for power in POWERS}
    return {
        "entropy_bits": [round(mean_entropy_bits(sharpen(model, power)).item(), 5) for power in POWERS],
        "val_sample": [round(100 * found[power].sample_accuracy, 2) for power in POWERS],
        "val_ensemble": [round(100 * found[power].ensemble_accuracy, 2) for power in POWERS],
        "val_map": round(100 * found[1.0].map_accuracy, 2),
    }


def trained(cells: list[Cell], trials: int, runs_dir: str) -> Iterator[tuple[Trial, Path]]:
    """The trials whose runs are finished."""
    for cell in cells:
        for number in range(1, trials + 1):
            trial = Trial(cell, number)
            folder = Path(runs_dir) / trial.config(runs_dir).run_name
            if (folder / "result.json").is_file():
                yield trial, folder


def read() -> dict[tuple[str, int], Row]:
    """Results so far, by configuration and trial."""
    path = RESULTS / "sharpen.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    return {(row["config"], row["trial"]): row for row in rows}


def table(grid: Grid) -> str:
    """Markdown: a line a run, missed figures with what they lack."""
    columns = ("cell", "trial", "test lacks", "entropy", *(f"power {power:g}" for power in POWERS), "mode", "ensemble")
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    lacks = {
        c.cell: -c.difference - max(c.published_std, 0.5)
        for c in compare(grid, Results.read(grid))
        if c.metric == "sample" and c.reached is False
    }
    for cell in grid.cells:
        for row in (row for (config, _), row in read().items() if config == cell.identity):
            short = f"{lacks[cell.name]:.2f}" if cell.name in lacks else ""
            samples = " | ".join(f"{accuracy:.2f}" for accuracy in row["val_sample"])
            lines.append(
                f"| {cell.name} | {row['trial']} | {short} | {row['entropy_bits'][0]:.3f} | {samples} "
                f"| {row['val_map']:.2f} | {row['val_ensemble'][0]:.2f} |"
            )
    return "\n".join(lines)


def main() -> None:
    """Measures what is not measured yet, prints the table and puts it into the README."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cell", nargs="+", default=[], help="only cells of these names or parts of names")
    parser.add_argument("--runs-dir", default="runs", help="folder of the training runs (default: runs)")
    parser.add_argument("--data-dir", help="folder with packed data sets; $BITGATE_DATA where not given")
    parser.add_argument("--table", action="store_true", help="print the results so far and measure nothing")
    arguments = parser.parse_args()
    grid = load_grid(HERE / "table1.yaml").only(names=arguments.cell)
    cells = [cell for cell in grid.cells if cell.options.get("method") in ("r", "lr")]
    if not arguments.table:
        found = list(trained(cells, grid.trials, arguments.runs_dir))
        if not found:
            parser.error(
                f"no finished run of these cells in {arguments.runs_dir}; train: bitgate reproduce dlstm/table1"
            )
        done = read()
        new = [(trial, folder) for trial, folder in found if (trial.cell.identity, trial.number) not in done]
        for trial, folder in track(new, "networks", disable=not new):
            key = {"cell": trial.cell.name, "config": trial.cell.identity, "trial": trial.number}
            row = {**key, "powers": POWERS, **measure(folder, arguments.data_dir)}
            RESULTS.mkdir(exist_ok=True)
            with (RESULTS / "sharpen.jsonl").open("a") as file:
                file.write(json.dumps(row) + "\n")
    if not read():
        parser.error(f"{RESULTS / 'sharpen.jsonl'}: no results yet; leave out --table")
    text = table(grid)
    print(text)
    if not arguments.cell:
        insert(HERE / "README.md", "sharpen", text)


if __name__ == "__main__":
    main()
