"""``bitgate demo``: the main job from end to end, on data that needs no download."""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from bitgate.cli.parser import Arguments, Parser, Verb
from bitgate.cli.trained import load_trained
from bitgate.data import Dataset
from bitgate.export import c99, code_bytes, compile_host, compile_objects, run_program
from bitgate.freezing import freeze
from bitgate.frozen import FrozenModel
from bitgate.nn import Classifier
from bitgate.report import plot_confusion, plot_training, print_table
from bitgate.train import FitConfig, Run, evaluate, fit


def add_arguments(parser: Parser) -> None:
    """Where to write, how long to train, on what."""
    parser.add_argument("-o", "--output", default="demo", help="folder to write")
    parser.add_argument("--data", default="digits", help="data set (`bitgate data list`)")
    parser.add_argument("--data_dir", help="folder with packed data sets")
    parser.add_argument("--epochs", type=int, default=60, help="passes over the training part")
    parser.add_argument("--seed", type=int, default=0, help="of weights, batches and noise")


def run(arguments: Arguments, show: bool) -> dict[str, Any]:
    """Trains, freezes, exports, compiles, compares and tells."""
    folder = Path(arguments.output)
    config = FitConfig(
        data=arguments.data,
        data_dir=arguments.data_dir,
        epochs=arguments.epochs,
        batch_size=32,
        validate_every=2,
        seed=arguments.seed,
        name="ternary",
        runs_dir=str(folder / "runs"),
    )
    _say(f"1/4  training a ternary LSTM on {config.data} by the r-trick: every weight is -1, 0 or 1")
    started = time.monotonic()
    fit(config, overwrite=True)
    run_folder = Run(folder / "runs" / "ternary")
    model, dataset, _ = load_trained(str(run_folder.path))
    plot_training(run_folder.metrics_file, folder / "training.png", title=f"ternary LSTM on {config.data}")

    _say("2/4  freezing it to integers, calibrated on the validation part")
    frozen = freeze(model, dataset.val).with_metadata(
        class_names=list(dataset.class_names), feature_names=list(dataset.feature_names), data=dataset.name
    )
    frozen.save(folder / "model.bitgate")

    _say("3/4  writing it as C and compiling that")
    files = c99(frozen, folder / "c")
    binary = compile_host(folder / "c")
    (folder / "objects").mkdir(exist_ok=True)
    compiled = code_bytes(compile_objects(folder / "c", folder / "objects"))

    _say("4/4  running the whole test set through the float network, the integers in Python, and the C program")
    result = _compare(model, frozen, dataset, binary, folder)
    cost = frozen.cost()
    float_bytes = 4 * (cost.n_weights + cost.n_biases)
    result |= {
        "paper_bits": cost.paper_bits,
        "model_file_bytes": (folder / "model.bitgate").stat().st_size,
        "compiled_bytes": compiled.flash,
        "compiled_code_bytes": compiled.text,
        "float32_bytes": float_bytes,
        "paper_compression": 32 * (cost.n_weights + cost.n_biases) / cost.paper_bits,
        "compression": float_bytes / compiled.flash,
        "c_files": [str(path) for path in files],
        "seconds": round(time.monotonic() - started, 1),
    }
    if show:
        _show(result, folder, dataset)
    if not (result["c_predictions_identical"] and result["c_logits_identical"]):
        sys.exit("bitgate: the C program and the interpreter differ; please report this as a bug")
    return result


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _compare(model: Classifier, frozen: FrozenModel, dataset: Dataset, binary: Path, folder: Path) -> dict[str, Any]:
    """Accuracies of the three programs on the test part, and whether the last two agree in every bit."""
    test = dataset.test
    evaluation = evaluate(model, test)
    plot_confusion(evaluation.confusion, dataset.class_names, folder / "confusion.png")
    x, lengths = test.padded()
    logits = frozen.run(x, lengths)
    c_classes, c_logits = run_program(binary, [test[k] for k in range(len(test))])
    return {
        "n_test": len(test),
        "float_accuracy": evaluation.map_accuracy,
        "sample_accuracy": evaluation.sample_accuracy,
        "integer_accuracy": float(np.mean(logits.argmax(axis=-1) == test.labels)),
        "c_accuracy": float(np.mean(c_classes == test.labels)),
        "c_predictions_identical": bool((c_classes == logits.argmax(axis=-1)).all()),
        "c_logits_identical": bool((c_logits == logits).all()),
    }


def _show(result: dict[str, Any], folder: Path, dataset: Dataset) -> None:
    same = "every class and logit identical" if result["c_logits_identical"] else "DIFFERENT FROM THE INTERPRETER"
    print_table(
        f"{result['n_test']} test sequences of {dataset.name}",
        ("program", "accuracy", ""),
        [
            ("float network, ternary weights", f"{result['float_accuracy']:.2%}", "PyTorch"),
            ("integers, interpreter", f"{result['integer_accuracy']:.2%}", "NumPy"),
            ("integers, C program", f"{result['c_accuracy']:.2%}", same),
        ],
    )
    print_table(
        "size",
        ("", "", "against float32"),
        [
            ("float32 weights and biases", f"{result['float32_bytes']} bytes", "1.0"),
            ("bits, counted as the paper does", f"{result['paper_bits']} bits", f"{result['paper_compression']:.1f}x"),
            ("compiled C: code, weights, tables", f"{result['compiled_bytes']} bytes", f"{result['compression']:.1f}x"),
            ("  of which code", f"{result['compiled_code_bytes']} bytes", ""),
            ("model file", f"{result['model_file_bytes']} bytes", ""),
        ],
        caption=f"{result['seconds']} s; {folder}: training.png, confusion.png, model.bitgate, c/, runs/",
    )
    print(f"next: read {folder}/c/README.md, or train on your own data: bitgate fit --help")


VERB = Verb(
    "demo",
    "Train a ternary LSTM, freeze it to integers, write it as C, compile it, and compare all three on the test set.",
    """
bitgate demo
bitgate demo --data mnist-strokes --data-dir path/to/data --epochs 100 -o strokes
""",
    add_arguments,
    run,
)
