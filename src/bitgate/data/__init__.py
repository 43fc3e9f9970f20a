"""Data sets of sequences: registered ones by name, a user's files, and batches for training.

Everything but ``SequenceDataModule`` works without torch, which only that name imports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bitgate.data.files import load_file_dataset, read_sequences
from bitgate.data.registry import DatasetRow, dataset_names, describe, fetch, load_dataset
from bitgate.data.sequences import Dataset, Sequences, check_input_size

if TYPE_CHECKING:
    from bitgate.data.datamodule import SequenceDataModule

__all__ = [
    "Dataset",
    "DatasetRow",
    "SequenceDataModule",
    "Sequences",
    "check_input_size",
    "dataset_names",
    "describe",
    "fetch",
    "load_dataset",
    "load_file_dataset",
    "read_sequences",
]


def __getattr__(name: str) -> Any:
    if name == "SequenceDataModule":
        from bitgate.data.datamodule import SequenceDataModule

        return SequenceDataModule
    raise AttributeError(f"module 'bitgate.data' has no attribute {name!r}")
