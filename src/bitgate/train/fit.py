"""Training from a configuration to a folder with checkpoints, metrics and test results."""

import json
import logging
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn

from bitgate.data import Dataset, SequenceDataModule
from bitgate.data.text.corpus import Corpus, is_corpus, load_corpus
from bitgate.errors import ArgumentError
from bitgate.nn import Classifier, LanguageModel, RecurrentModule, count_bits
from bitgate.train.callbacks import EpochProgress, MetricsFile, Patience, Stopwatch
from bitgate.train.checkpoints import AtomicCheckpoints
from bitgate.train.config import FitConfig
from bitgate.train.evaluate import evaluate
from bitgate.train.heap import keep_freed_memory
from bitgate.train.language import LanguageTraining, StreamData, perplexity
from bitgate.train.module import STEPS_PER_CALL, ClassifierTraining
from bitgate.train.run import Best, Run, build_model, load_run_dataset, load_weights, start_from
from bitgate.train.teachers import teach, teacher_configs

Monitors = dict[Best, tuple[str, str]]
"""By kind of best epoch: the metric that chooses it, and whether max or min of it."""


def fit(
    config: FitConfig,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    callbacks: Sequence[Callback] = (),
) -> dict[str, Any]:
    """Trains, its teachers first, then tests at the epochs that validation chose.

    Args:
        config: the run.
        resume: continue an interrupted run of this name from its last epoch; its end is that of an
            uninterrupted run, bit for bit on a CPU.
        overwrite: start again although the folder exists.
        progress: whether to show a progress bar on stderr.
        callbacks: more of Lightning's; the teachers' trainings do not have them.

    Returns:
        The contents of result.json: test metrics, epochs, seconds, bits.

    Raises:
        ArgumentError: the run exists already, or is to be resumed with another configuration; ``init_from`` has other
            layers.
        DataError: the data set is missing or damaged.
    """
    run = open_run(config, resume=resume, overwrite=overwrite)
    if resume and run.result_file.is_file():
        return run.read_result()
    dataset = load_corpus(config.data, config.vocabulary_size) if is_corpus(config.data) else load_run_dataset(config)
    if isinstance(dataset, Corpus):
        _check_language(config)
    model = build_model(config, dataset)
    if config.init_from is not None:
        start_from(model, Run(Path(config.init_from)))
    if not (resume and run.config_file.is_file()):
        start_run(run, config)
    for teacher in teacher_configs(config, run):
        fit(teacher, resume=True, progress=progress)
    threads = torch.get_num_threads()
    torch.set_num_threads(config.threads)
    torch.set_flush_denormal(True)
    keep_freed_memory()
    try:
        if isinstance(dataset, Corpus):
            assert isinstance(model, LanguageModel)
            trained = train_language(config, run, model, dataset, resume=resume, progress=progress, callbacks=callbacks)
            result = _test_language(config, run, model, dataset)
        else:
            assert not isinstance(model, LanguageModel)
            trained = train(config, run, model, dataset, resume=resume, progress=progress, callbacks=callbacks)
            result = _test(config, run, model, dataset)
    finally:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(False)
    result |= trained
    temporary = run.result_file.with_suffix(".tmp")
    temporary.write_text(json.dumps(result, indent=1))
    temporary.replace(run.result_file)
    return result


def _check_language(config: FitConfig) -> None:
    """Refuses what only classifiers have.

    Raises:
        ArgumentError: names the option.
    """
    for name in ("kl_weight", "entropy_weight", "teachers", "pretrain_epochs"):
        if getattr(config, name):
            raise ArgumentError(f"{name}: {getattr(config, name)}, but a language model has none of it; set it to 0")


def open_run(config: FitConfig, *, resume: bool, overwrite: bool) -> Run:
    """The run's folder, which may be continued or started; nothing is written yet.

    Raises:
        ArgumentError: the folder exists without ``resume`` or ``overwrite``, or holds another configuration.
    """
    run = Run(Path(config.runs_dir) / config.run_name)
    if run.config_file.is_file():
        if resume:
            if run.read_config() != config:
                raise ArgumentError(
                    f"resume: {run.config_file} differs from the configuration given; "
                    "resume with the same options, or choose another --name"
                )
        elif not overwrite:
            raise ArgumentError(
                f"name: {run.path} exists; --resume continues it, --overwrite starts again, --name chooses another"
            )
    return run


def start_run(run: Run, config: FitConfig) -> None:
    """Writes the configuration, and removes what an earlier run of this name left."""
    for teacher in run.path.glob("teacher-*"):
        shutil.rmtree(teacher)
    for path in (run.metrics_file, run.result_file, *run.checkpoints.glob("*.ckpt"), *run.tensorboard.glob("events.*")):
        path.unlink(missing_ok=True)
    run.write_config(config)


def _checkpoints(run: Run, best: Monitors) -> list[Callback]:
    common: dict[str, Any] = {"dirpath": run.checkpoints, "enable_version_counter": False, "save_top_k": 1}
    chosen: list[Callback] = [
        ModelCheckpoint(filename=f"best-{kind}", monitor=metric, mode=mode, **common)
        for kind, (metric, mode) in best.items()
    ]
    # Written last, so that the state of the others inside it is that of the same epoch.
    last = ModelCheckpoint(filename="last", every_n_epochs=1, save_on_train_epoch_end=True, **common)
    return [*chosen, last]


def train(
    config: FitConfig,
    run: Run,
    model: Classifier,
    dataset: Dataset,
    *,
    resume: bool = False,
    progress: bool = True,
    callbacks: Sequence[Callback] = (),
) -> dict[str, float]:
    """Runs the training loop; ``model`` ends with the last epoch's weights.

    Returns:
        ``epochs`` trained and the ``seconds`` they took, sittings before a resumption included.
    """
    module = ClassifierTraining(model, config, len(dataset.train))
    targets = teach(config, run, dataset) if config.teachers else None
    data = SequenceDataModule(
        dataset, batch_size=config.batch_size, seed=config.seed, targets=targets, group=STEPS_PER_CALL
    )
    kinds: list[Best] = ["map", "sample"] if config.is_random else ["map"]
    best: Monitors = {kind: (f"val_{kind}", "max") for kind in kinds}
    return _optimize(config, run, module, data, best, resume=resume, progress=progress, callbacks=callbacks)


def train_language(
    config: FitConfig,
    run: Run,
    model: LanguageModel,
    corpus: Corpus,
    *,
    resume: bool = False,
    progress: bool = True,
    callbacks: Sequence[Callback] = (),
) -> dict[str, float]:
    """As ``train``, for a language model."""
    module = LanguageTraining(model, config)
    data = StreamData(corpus, config.batch_size, config.bptt_steps)
    best: Monitors = {"map": ("val_perplexity", "min")}
    return _optimize(config, run, module, data, best, resume=resume, progress=progress, callbacks=callbacks)


def _optimize(
    config: FitConfig,
    run: Run,
    module: lightning.LightningModule,
    data: lightning.LightningDataModule,
    best: Monitors,
    *,
    resume: bool,
    progress: bool,
    callbacks: Sequence[Callback],
) -> dict[str, float]:
    """Runs the Trainer; early stopping looks at the last of the monitored metrics."""
    own: list[Callback] = [EpochProgress(config.run_name)] if progress else []
    if config.patience:
        monitor, mode = list(best.values())[-1]
        own.append(Patience(monitor=monitor, mode=mode, patience=config.patience))
    stopwatch = Stopwatch()
    own += [stopwatch, MetricsFile(run.metrics_file), *_checkpoints(run, best)]
    last = run.checkpoint("last")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # Batches are made in this process on purpose: they are slices of one tensor in memory.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*exists and is not empty.*")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")
        warnings.filterwarnings("ignore", message="The number of training batches")
        trainer = lightning.Trainer(
            max_epochs=config.epochs,
            check_val_every_n_epoch=config.validate_every,
            accelerator=config.accelerator,
            devices=config.devices,
            # What takes its own steps clips its own gradients.
            gradient_clip_val=(config.clip_norm or None) if module.automatic_optimization else None,
            use_distributed_sampler=False,  # the batches are shared out by their own sampler
            logger=TensorBoardLogger(run.path, name="", version=run.tensorboard.name),
            plugins=[AtomicCheckpoints()],
            callbacks=[*own, *callbacks],
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=1_000_000,
        )
        try:
            trainer.fit(module, data, ckpt_path=str(last) if resume and last.is_file() else None)
        except SystemExit as error:  # what Lightning makes of Ctrl-C
            raise KeyboardInterrupt from error
    return {"epochs": trainer.current_epoch, "seconds": round(stopwatch.seconds, 3)}


def _test(config: FitConfig, run: Run, model: Classifier, dataset: Dataset) -> dict[str, Any]:
    """Looks at the test part once, at the epochs that validation chose."""
    epoch, score = load_weights(model, run, "map")
    test = evaluate(model, dataset.test, draws=config.draws, seed=config.seed)
    result: dict[str, Any] = {"data": dataset.name, "split": dataset.split, "seed": config.seed}
    result |= {"epoch_map": epoch, "val_map": score, "test_map": test.map_accuracy}
    if config.is_random:
        epoch, score = load_weights(model, run, "sample")
        result |= {"epoch_sample": epoch, "val_sample": score}
        sample = evaluate(model, dataset.test, draws=config.draws, seed=config.seed)
        result |= {"test_sample": sample.sample_accuracy, "test_sample_std": sample.sample_std}
        result |= {"test_ensemble": sample.ensemble_accuracy, "test_ensemble_nll": sample.ensemble_nll}
    return result | _sizes(model)


def _test_language(config: FitConfig, run: Run, model: LanguageModel, corpus: Corpus) -> dict[str, Any]:
    """Perplexity of the test part, at the epoch that validation chose."""
    epoch, score = load_weights(model, run, "map")
    found = perplexity(model, corpus.test, steps=config.bptt_steps)
    result: dict[str, Any] = {"data": corpus.name, "split": config.split, "seed": config.seed}
    result |= {"epoch_map": epoch, "val_perplexity": score, "perplexity": found}
    return result | _sizes(model)


def _sizes(model: nn.Module) -> dict[str, int]:
    """Bits as the papers count them, and parameters."""
    count = count_bits(model)
    recurrent = sum(
        count_bits(module).n_parameters for module in model.modules() if isinstance(module, RecurrentModule)
    )
    return {"paper_bits": count.paper_bits, "parameters": count.n_parameters, "recurrent_parameters": recurrent}
