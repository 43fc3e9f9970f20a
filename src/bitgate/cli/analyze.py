"""``bitgate analyze``: what recurrent layers cost and how long they remember."""

import json
from pathlib import Path
from typing import Any

import torch

from bitgate.cli.parser import Arguments, Parser, Verb, fail
from bitgate.cli.trained import load_trained
from bitgate.data import Dataset
from bitgate.errors import DataError
from bitgate.nn import Classifier, RecurrentModule, TextClassifier, fix_weights
from bitgate.report import print_table
from bitgate.research.examine import Memory, examine, examine_untrained
from bitgate.research.memory_plot import plot_memory
from bitgate.research.recurrent_cost import RecurrentCost, compare_costs

_BATCH = 8


def add_arguments(parser: Parser) -> None:
    """Trained runs or none, sizes, distances, and where to write."""
    parser.add_argument("runs", nargs="*", help="folders of runs; untrained cells on noise without any")
    parser.add_argument("--input_size", type=int, default=512, help="features of the untrained cells (default: 512)")
    parser.add_argument("--hidden_size", type=int, default=512, help="units of the untrained cells (default: 512)")
    parser.add_argument("--vocabulary_size", type=int, default=8000, help="tokens of the whole model that is counted")
    parser.add_argument("--steps", type=int, default=1000, help="largest distance, where the data are so long")
    parser.add_argument("--long_steps", type=int, default=10_000, help="steps over which the states are watched")
    parser.add_argument("--seed", type=int, default=0, help="of initial weights and noise")
    parser.add_argument("--data_dir", help="folder with packed data sets; $BITGATE_DATA where not given")
    parser.add_argument("-o", "--output", default="analysis", help="folder to write to (default: analysis)")


def run(arguments: Arguments, show: bool) -> dict[str, Any]:
    """Counts, examines, writes analysis.json and memory.png and memory.svg, tells."""
    for name in ("input_size", "hidden_size", "vocabulary_size", "steps", "long_steps"):
        if getattr(arguments, name) < 2:
            fail(f"{name}: {getattr(arguments, name)}, expected 2 or more")
    folder = Path(arguments.output)
    if folder.is_file():
        fail(f"output: {folder} is a file, expected the name of a folder")
    sizes = (arguments.input_size, arguments.hidden_size)
    costs = compare_costs(*sizes, vocabulary_size=arguments.vocabulary_size)
    lengths = (arguments.steps, arguments.long_steps)
    if arguments.runs:
        memories = [examine_run(path, *lengths, arguments.data_dir) for path in arguments.runs]
        title = "trained networks, test part"
    else:
        memories = examine_untrained(*sizes, steps=lengths[0], long_steps=lengths[1], seed=arguments.seed)
        title = f"untrained cells, {sizes[0]} features, {sizes[1]} units, normal noise"
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in (".png", ".svg"):
        plot_memory(memories, folder / f"memory{suffix}", title=title)
    found = {"costs": [cost.as_dict() for cost in costs], "memory": [memory.as_dict() for memory in memories]}
    (folder / "analysis.json").write_text(json.dumps(found, indent=1) + "\n")
    if show:
        _show(costs, memories, arguments, folder)
    return found


def examine_run(path: str, steps: int, long_steps: int, data_dir: str | None = None) -> Memory:
    """The most probable network of a run on the test part of its data: all analyses.

    Raises:
        DataError: no test sequence has two steps.
    """
    model, dataset, config = load_trained(path, data_dir=data_dir)
    model = fix_weights(model)
    x, long = _inputs(model, dataset, steps, long_steps)
    inner = model.classifier if isinstance(model, TextClassifier) else model
    layers = [layer for layer in inner.layers if isinstance(layer, RecurrentModule)]
    return examine(config.run_name, layers, x, long, steps=steps)


@torch.no_grad()
def _inputs(model: Classifier, dataset: Dataset, steps: int, long_steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    """What reaches the first layer: some long test sequences cut to one length, and the test part as one sequence."""
    test = dataset.test
    order = (-test.length).argsort(kind="stable")[:_BATCH]
    longest = min(2 * steps + 1, int(test.length[order].min()))
    if longest < 2:
        raise DataError(f"{dataset.name}: the test sequences are too short, expected two steps or more")
    x = torch.from_numpy(test.padded(order)[0][:, :longest])
    repeats = -(-long_steps // len(test.features))
    stream = torch.from_numpy(test.features).repeat(repeats, 1)[:long_steps].unsqueeze(0)
    if isinstance(model, TextClassifier):
        return model.embedding(x.squeeze(-1).long()), model.embedding(stream.squeeze(-1).long())
    return model.prepare(x), model.prepare(stream)


def _show(costs: list[RecurrentCost], memories: list[Memory], arguments: Arguments, folder: Path) -> None:
    rows = [
        (c.name, f"{c.recurrent:,}", f"{c.saving:+.1%}", f"{c.model:,}", f"{c.flops:,.0f}", f"{c.activations:,}")
        for c in costs
    ]
    title = f"{arguments.input_size} features, {arguments.hidden_size} units, {arguments.vocabulary_size} tokens"
    columns = ("layer", "recurrent", "saved", "model", "FLOPs", "activ.")
    print_table(title, columns, rows, caption="gate maps and skips are our own definitions")
    names = ("network", "steps", "gates", "cosine", "gradient", "|h|")
    caption = f"gates: product at the distance; gradient: share of the last step's; {folder}: memory.png, analysis.json"
    print_table("memory, at the largest distance", names, map(_memory_row, memories), caption=caption)
    for memory in memories:
        if memory.warning:
            print(f"{memory.name} warns: {memory.warning}")


def _memory_row(memory: Memory) -> tuple[str, ...]:
    state = f"{max(memory.range.h):.3g}" if memory.range.is_finite else "inf"
    last = memory.gradients[min(memory.distances[-1], len(memory.gradients) - 1)]
    fall = last / memory.gradients[0] if memory.gradients[0] else float("nan")
    return (
        memory.name,
        str(memory.distances[-1]),
        f"{memory.products[-1]:.0e}",
        f"{memory.cosines[-1]:.3f}",
        f"{fall:.0e}",
        state,
    )


VERB = Verb(
    "analyze",
    "What recurrent layers cost and how long they remember, as tables and plots; trained runs, or untrained cells.",
    """
bitgate analyze
bitgate analyze --input-size 64 --hidden-size 64 -o analysis-64
bitgate analyze runs/lstm runs/ql -o compared
""",
    add_arguments,
    run,
)
