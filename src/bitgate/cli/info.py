"""``bitgate info``: what a model costs, and what this installation can do."""

import shutil
from pathlib import Path
from typing import Any

from bitgate import __version__
from bitgate.cli.cost_report import report
from bitgate.cli.parser import Arguments, Parser, Verb
from bitgate.export.targets import TARGETS
from bitgate.frozen import FrozenModel, load
from bitgate.report import print_table
from bitgate.runtime import native_status


def add_arguments(parser: Parser) -> None:
    """A model file, a run, or the shape of an untrained model."""
    parser.add_argument("model", nargs="?", help="model file or folder of a run; none for the installation")
    parser.add_argument(
        "--target", choices=[*TARGETS, "all"], help="processor to tell flash and RAM for; the usual ones if not given"
    )
    shape = parser.add_argument_group("an untrained classifier instead of a file")
    shape.add_argument("--input_size", type=int, help="number of features")
    shape.add_argument("--n_classes", type=int, help="number of classes")
    shape.add_argument("--hidden_sizes", type=tuple[int, ...], default=(64, 32), help="units of each layer")
    shape.add_argument("--cell", default="lstm", choices=["lstm", "gru", "ql_lstm", "gated_rnn"], help="recurrent cell")
    shape.add_argument("--coupled", type=bool, default=True, help="forget gate = 1 - input gate (LSTM)")
    shape.add_argument("--weights", default="ternary", choices=["continuous", "ternary", "binary"], help="weights")


def run(arguments: Arguments, show: bool) -> dict[str, Any]:
    """Tells about the installation, an untrained model, a run or a model file."""
    if arguments.input_size is not None or arguments.n_classes is not None:
        return _untrained(arguments, show)
    if arguments.model is None:
        return _installation(show)
    path = Path(arguments.model)
    return _run(path, show) if path.is_dir() else _file(path, arguments.target, show)


def _installation(show: bool) -> dict[str, Any]:
    try:
        import torch

        from bitgate.ops import BACKEND_VARIABLE, training_kernel_status

        devices = ["cpu"] + [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
        training = f"torch {torch.__version__} on {', '.join(devices)}"
        backends = f"native, vendor (smooth gates), reference (all); ${BACKEND_VARIABLE} forces one"
        kernels = training_kernel_status()
    except ImportError:
        training, backends, kernels = "missing: pip install torch", "none", "none"
    found = next((c for c in ("cc", "gcc", "clang") if shutil.which(c)), None)
    entries = {
        "bitgate": __version__,
        "training": training,
        "training backends": backends,
        "training kernels in C": kernels,
        "native runtime": native_status(),
        "C compiler": found or "missing: install gcc or clang to compile exported models",
    }
    if show:
        print_table("this installation", ("", ""), entries.items())
    return entries


def _count_rows(count: Any) -> list[tuple[str, str]]:
    return [
        ("weights", f"{count.n_weights}"),
        ("biases", f"{count.n_biases}"),
        ("bits of weights", f"{count.weight_bits}"),
        ("bits, counted as the paper does", f"{count.paper_bits}"),
        ("bits of scales, not counted there", f"{count.scale_bits}"),
        ("compression against float32 weights", f"{(count.n_weights + count.n_biases) * 32 / count.paper_bits:.1f}"),
    ]


def _untrained(arguments: Arguments, show: bool) -> dict[str, Any]:
    from bitgate.errors import ArgumentError
    from bitgate.nn import SequenceClassifier, count_bits

    if arguments.input_size is None or arguments.n_classes is None:
        raise ArgumentError("info: give both --input-size and --n-classes for an untrained model")
    count = count_bits(
        SequenceClassifier(
            arguments.input_size,
            arguments.n_classes,
            arguments.hidden_sizes,
            cell=arguments.cell,
            weights=arguments.weights,
            coupled=arguments.coupled and arguments.cell in ("lstm", "ql_lstm"),
        )
    )
    if show:
        sizes = "-".join(map(str, (arguments.input_size, *arguments.hidden_sizes, arguments.n_classes)))
        print_table(f"{arguments.weights} {arguments.cell}, {sizes}", ("", ""), _count_rows(count))
    return vars(count)


def _run(path: Path, show: bool) -> dict[str, Any]:
    from bitgate.nn import count_bits
    from bitgate.train import Run, build_model, load_run_dataset

    config = Run(path).read_config()
    count = count_bits(build_model(config, load_run_dataset(config)))
    if show:
        print_table(config.run_name, ("", ""), _count_rows(count))
    return {"name": config.run_name, **vars(count)}


def _file(path: Path, target: str | None, show: bool) -> dict[str, Any]:
    frozen = load(path)
    cost = frozen.cost()
    float_bytes = 4 * (cost.n_weights + cost.n_biases)
    if show:
        print_table(f"{path}: layers", ("layer", "cell", "inputs", "units", "weights", "gates"), _layers(frozen))
        rows = [
            ("state bits", frozen.state_bits),
            ("bits, counted as the paper does", cost.paper_bits),
            ("scales, not counted there", cost.n_scales),
            ("bytes of packed weights", cost.weight_bytes),
            ("bytes of all constants (flash, without code)", cost.flash_bytes),
            ("bytes of the model file", path.stat().st_size),
            ("compression of constants against float32", f"{float_bytes / cost.flash_bytes:.1f}"),
            ("bytes of RAM: states and scratch", cost.ram_bytes),
            ("weights that are 0", f"{cost.zero_weights} of {cost.n_weights}"),
            ("additions, multiplications for all logits", f"{cost.readout_additions}, {cost.readout_multiplications}"),
        ]
        print_table("cost", ("", ""), rows)
    told = report(frozen, target, show)
    size = {"file_bytes": path.stat().st_size, "state_bits": frozen.state_bits}
    return {**cost.as_dict(), **size, **told, **frozen.metadata}


def _layers(frozen: FrozenModel) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for index, layer in enumerate(frozen.flat_layers):
        named = zip(layer.gates, layer.gate_levels, strict=True)
        gates = ", ".join(f"{gate} {levels} levels" for gate, levels in named if levels) or "smooth"
        cell = layer.cell + (" (reverse)" if layer.reverse else "")
        if layer.is_shared:
            cell += f", {layer.n_projections} shared projections"
        if layer.skip is not None:
            cell += f", skip every {layer.skip.block_size}, range ±{2**layer.range_bits}"
        kind = f"{layer.w_ih.bits} bit, {len(layer.w_ih.levels)} levels"
        rows.append((index, cell, layer.input_size, layer.hidden_size, kind, gates))
    if frozen.readout is not None:
        weight = frozen.readout.weight
        kind = f"{weight.bits} bit, {len(weight.levels)} levels"
        rows.append(("readout", "linear", weight.columns, weight.rows, kind, ""))
    return rows


VERB = Verb(
    "info",
    "What a model costs: layers, bits as the paper counts them, true bytes, memory and operations per step.",
    """
bitgate info
bitgate info model.bitgate
bitgate info model.bitgate --target all --json
bitgate info runs/NAME --json
bitgate info --input-size 4 --n-classes 10 --hidden-sizes 64,32 --weights ternary
""",
    add_arguments,
    run,
)
