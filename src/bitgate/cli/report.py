"""``bitgate report``: runs as one HTML file."""

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

from bitgate.cli.analyze import examine_run
from bitgate.cli.parser import Arguments, Parser, Verb, fail, output_file
from bitgate.cli.trained import load_trained
from bitgate.errors import UnsupportedError
from bitgate.nn import count_bits
from bitgate.report import Page, plot_confusion, plot_training
from bitgate.research.memory_plot import plot_memory
from bitgate.train import FitConfig, Run, evaluate

_RESULT = {
    "test_map": "test accuracy, most probable weights (MAP)",
    "test_sample": "test accuracy, drawn networks (sample)",
    "test_ensemble": "test accuracy, ensemble of draws",
    "val_map": "validation accuracy, MAP",
    "epochs": "epochs",
    "seconds": "seconds of training",
}
_COUNT = {
    "n_weights": "weights",
    "n_biases": "biases",
    "n_scales": "scales, factors of gates and skips",
    "paper_bits": "bits, counted as the paper does (without scales)",
    "scale_bits": "bits of scales",
}


def add_arguments(parser: Parser) -> None:
    """Which runs, and where to write."""
    parser.add_argument("runs", nargs="*", help="folders of finished runs, such as runs/NAME")
    parser.add_argument("-o", "--output", default="report.html", help="file to write (default: report.html)")
    parser.add_argument("--steps", type=int, default=1000, help="largest distance of the analyses of memory")
    parser.add_argument("--long_steps", type=int, default=10_000, help="steps over which states are watched")
    parser.add_argument("--data_dir", help="folder with packed data sets; $BITGATE_DATA where not given")


def run(arguments: Arguments, show: bool) -> dict[str, Any]:
    """Tests every run again, draws, and writes the page."""
    if not arguments.runs:
        fail("runs: none given, expected at least one folder of a run, such as runs/NAME")
    target = output_file(arguments.output)
    runs = [Run(Path(path)) for path in arguments.runs]
    page = Page(f"bitgate: {', '.join(run.read_config().run_name for run in runs)}")
    page.heading("Results")
    page.table(*_overview(runs))
    with tempfile.TemporaryDirectory() as scratch:
        _add_memory(page, arguments, Path(scratch))
        for one in runs:
            _add_run(page, one, arguments.data_dir, Path(scratch))
    page.write(target)
    if show:
        print(f"{target}: {len(runs)} runs, {target.stat().st_size / 1024:.0f} KB, everything inside")
    return {"report": str(target), "runs": [str(one.path) for one in runs]}


def _overview(runs: list[Run]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    results = [run.read_result() for run in runs]
    keys = [key for key in _RESULT if any(key in result for result in results)]
    rows = []
    for run, result in zip(runs, results, strict=True):
        rows.append((run.read_config().run_name, *(_format(key, result[key]) if key in result else "" for key in keys)))
    return ("run", *(_RESULT[key] for key in keys)), rows


def _format(key: str, value: float) -> str:
    return f"{value:.2%}" if key.startswith(("test_", "val_")) else f"{value:,}"


def _add_memory(page: Page, arguments: Arguments, scratch: Path) -> None:
    """The analyses of memory, of all runs that have them, in one picture."""
    memories, refused = [], []
    for path in arguments.runs:
        try:
            memories.append(examine_run(path, arguments.steps, arguments.long_steps, arguments.data_dir))
        except UnsupportedError as error:
            refused.append(str(error))
    page.heading("Memory")
    if memories:
        picture = scratch / "memory.png"
        plot_memory(memories, picture)
        page.picture(picture, "most probable networks on the test part; gates, cosines and |h| of the first layer")
    for text in refused:
        page.text(text)


def _add_run(page: Page, run: Run, data_dir: str | None, scratch: Path) -> None:
    model, dataset, config = load_trained(str(run.path), data_dir=data_dir)
    page.heading(config.run_name)
    picture = scratch / "picture.png"
    plot_training(run.metrics_file, picture)
    page.picture(picture, "training")
    result = evaluate(model, dataset.test, draws=config.draws, seed=config.seed)
    plot_confusion(result.confusion, dataset.class_names, picture)
    page.picture(picture, f"test part, {result.n_sequences} sequences, MAP {result.map_accuracy:.2%}")
    count = count_bits(model)
    page.table(("", ""), [(text, f"{getattr(count, name):,}") for name, text in _COUNT.items()])
    page.heading("Options that differ from the defaults", 3)
    page.table(("", ""), _changed(config))


def _changed(config: FitConfig) -> list[tuple[str, object]]:
    default = FitConfig()
    fields = [(field.name, getattr(config, field.name)) for field in dataclasses.fields(config)]
    return [(name, value) for name, value in fields if value != getattr(default, name)]


VERB = Verb(
    "report",
    "Runs as one HTML file with everything inside: results, curves, confusion, bits, and how long they remember.",
    """
bitgate report runs/first
bitgate report runs/lstm runs/ql -o compared.html
""",
    add_arguments,
    run,
)
