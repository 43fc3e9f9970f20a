"""``bitgate fit``: train a model."""

import dataclasses
from importlib.resources import files
from pathlib import Path
from typing import Any

from bitgate.cli.parser import Arguments, Parser, Verb, close_matches, fail
from bitgate.report import plot_training, print_table
from bitgate.train import FitConfig, Run, fit

_SHOWN = {
    "test_sample": "test accuracy, drawn networks (sample)",
    "test_map": "test accuracy, most probable weights (MAP)",
    "test_ensemble": "test accuracy, ensemble of draws",
    "epoch_sample": "best epoch on validation, sample",
    "epoch_map": "best epoch on validation, MAP",
    "paper_bits": "bits, counted as the paper does",
    "seconds": "seconds",
}


PRESETS = {
    Path(str(entry)).stem: entry
    for entry in sorted(files("bitgate.train").joinpath("presets").iterdir(), key=lambda entry: entry.name)
    if entry.name.endswith(".yaml")
}
"""Files of options that come with bitgate, by name."""


def add_arguments(parser: Parser) -> None:
    """A YAML file, every field of ``FitConfig`` as a flag, and what to do with an existing run."""
    parser.add_argument("--config", action="config", help="YAML file with the options below; also as `fit FILE`")
    parser.add_argument(
        "--preset",
        metavar="NAME",
        help=f"options that work well together: {', '.join(PRESETS)}; what follows overrides",
    )
    parser.add_class_arguments(FitConfig, as_group=False)
    parser.add_argument("--resume", action="store_true", help="continue an interrupted run from its last epoch")
    parser.add_argument("--overwrite", action="store_true", help="start again where a run of this name exists")


def prepare(arguments: list[str]) -> list[str]:
    """`bitgate fit FILE ...` means `bitgate fit --config FILE ...`: what follows overrides the file.

    A preset is such a file, too, that comes with bitgate.
    """
    if arguments and not arguments[0].startswith("-"):
        if not arguments[0].endswith((".yaml", ".yml")):
            fail(f"fit: {arguments[0]!r} is no .yaml file of options; data are given as --data {arguments[0]}")
        arguments = ["--config", *arguments]
    result: list[str] = []
    words = iter(arguments)
    for word in words:
        option, _, value = word.partition("=")
        if option == "--preset":
            name = value or next(words, "")
            if name not in PRESETS:
                fail(f"preset: {name!r}, expected one of {', '.join(PRESETS)}{close_matches(name, list(PRESETS))}")
            result += ["--config", str(PRESETS[name])]
        else:
            result.append(word)
    return result


def config_from(arguments: Arguments) -> FitConfig:
    """The configuration: defaults, then the YAML file, then flags."""
    given = {field.name: getattr(arguments, field.name) for field in dataclasses.fields(FitConfig)}
    return FitConfig(**given)


def run(arguments: Arguments, show: bool) -> dict[str, Any]:
    """Trains and tells the test metrics."""
    config = config_from(arguments)
    result = fit(config, resume=arguments.resume, overwrite=arguments.overwrite)
    folder = Run(Path(config.runs_dir) / config.run_name)
    plot_training(folder.metrics_file, folder.path / "training.png", title=config.run_name)
    if show:
        rows = [(text, _format(key, result[key])) for key, text in _SHOWN.items() if key in result]
        print_table(config.run_name, ("", "value"), rows, caption=f"{folder.path}: training.png, metrics.csv")
        print(f"next: bitgate freeze {folder.path} -o {config.run_name}.bitgate")
    return {"run": str(folder.path), **result}


def _format(key: str, value: float) -> str:
    return f"{value:.2%}" if key.startswith("test_") else str(value)


VERB = Verb(
    "fit",
    "Train a model. Writes runs/NAME/{config.yaml,metrics.csv,training.png,result.json,checkpoints/,tensorboard/}.",
    """
bitgate fit --data digits --weights ternary --epochs 30
bitgate fit --data mnist-strokes --weights ternary --gates o=2,g=2 --seed 1
bitgate fit --preset best --data mnist-strokes
bitgate fit --data my-sequences.csv --weights binary --method qat --hidden-sizes 32
bitgate fit config.yaml --epochs 200 --resume
""",
    add_arguments,
    run,
    prepare,
)
