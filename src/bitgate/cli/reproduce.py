"""``bitgate reproduce``: run a published table or figure and print ours beside theirs."""

import json
from pathlib import Path
from typing import Any

from bitgate.cli.parser import Arguments, Parser, Verb, close_matches, fail
from bitgate.report import print_table
from bitgate.reproduce import Grid, Results, compare, draw, find_grids, load_grid, run_grid, to_markdown
from bitgate.reproduce.comparison import summary
from bitgate.reproduce.readme import insert


def add_arguments(parser: Parser) -> None:
    """What, which part of it, where and how."""
    parser.add_argument("what", nargs="?", help="PAPER/TABLE, such as dlstm/table1; all of them are listed without it")
    parser.add_argument("--dataset", nargs="+", default=[], help="only cells of these data sets")
    parser.add_argument("--cell", nargs="+", default=[], help="only cells of these names or parts of names")
    parser.add_argument("--trials", type=int, help="trials of each cell, instead of the grid's")
    parser.add_argument("--jobs", type=int, help="single-threaded processes; one per core where not given")
    parser.add_argument("--ray", help="address of a Ray cluster to run on; `local` starts one here")
    parser.add_argument("--table", action="store_true", help="print the results so far and train nothing")
    parser.add_argument("--experiments", default="experiments", help="folder of the grids (default: experiments)")
    parser.add_argument("--runs_dir", default="runs", help="folder of the training runs (default: runs)")
    parser.add_argument("--data_dir", help="folder with packed data sets; $BITGATE_DATA where not given")


def run(arguments: Arguments, show: bool) -> Any:
    """Lists the grids, or runs one and writes its tables and figure."""
    grids = find_grids(Path(arguments.experiments))
    if not grids:
        fail(f"experiments: no grids in {arguments.experiments}; run in a checkout of bitgate, or give --experiments")
    if arguments.what is None:
        return _list(grids, show)
    if arguments.what not in grids:
        fail(f"no grid {arguments.what!r}{close_matches(arguments.what, list(grids))} (grids: {', '.join(grids)})")
    whole = load_grid(grids[arguments.what])
    grid = whole.only(arguments.dataset, arguments.cell).with_trials(arguments.trials)
    if not arguments.table:
        run_grid(
            grid,
            runs_dir=arguments.runs_dir,
            data_dir=arguments.data_dir,
            jobs=arguments.jobs,
            ray_address=arguments.ray,
        )
    _write(whole)
    comparisons = compare(grid, Results.read(grid))
    if show:
        rows = [comparison.texts(grid.columns) for comparison in comparisons]
        caption = summary(comparisons, ensembles="ensemble" in grid.columns)
        print_table(f"{grid.title}: test accuracy, %", grid.columns, rows, caption=caption)
    return [comparison.as_dict() for comparison in comparisons]


def _list(grids: dict[str, Path], show: bool) -> list[dict[str, Any]]:
    entries = []
    for path in grids.values():
        grid = load_grid(path)
        results = Results.read(grid)
        done = sum(results.has(trial) for trial in grid.schedule())
        entries.append({"name": grid.name, "title": grid.title, "trials": len(grid.schedule()), "done": done})
    if show:
        rows = [(entry["name"], entry["title"], f"{entry['done']}/{entry['trials']}") for entry in entries]
        print_table("grids", ("name", "title", "trials done"), rows, caption="run one: bitgate reproduce NAME")
    return entries


def _write(grid: Grid) -> None:
    """Tables and figure beside the results, under a temporary name first."""
    results = Results.read(grid)
    comparisons = compare(grid, results)
    if not comparisons:
        return
    texts = {
        ".md": to_markdown(comparisons, title=grid.title, columns=grid.columns, note=grid.note),
        ".json": json.dumps([comparison.as_dict() for comparison in comparisons], indent=1) + "\n",
    }
    grid.results_file.parent.mkdir(exist_ok=True)  # the results may all be those of other grids
    for suffix, text in texts.items():
        target = grid.results_file.with_suffix(suffix)
        temporary = target.with_suffix(f"{suffix}.tmp")
        temporary.write_text(text)
        temporary.replace(target)
    insert(grid.path.with_name("README.md"), grid.path.stem, texts[".md"])
    draw(grid, results, [grid.results_file.with_suffix(suffix) for suffix in (".svg", ".png")])


VERB = Verb(
    "reproduce",
    "Run a published table or figure trial by trial, and print ours beside theirs. Stop and start it at any time.",
    """
bitgate reproduce
bitgate reproduce dlstm/table1 --dataset mnist-strokes --trials 1
bitgate reproduce dlstm/table1 --jobs 8
bitgate reproduce dlstm/table1 --table
""",
    add_arguments,
    run,
)
