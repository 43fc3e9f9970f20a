"""Checkpoints that are whole or not there, whenever the process is killed."""

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO


class AtomicCheckpoints(CheckpointIO):
    """Writes a checkpoint beside its target and renames it.

    Lightning's own writer moves it over from the system's temporary folder, which on another file system is a copy
    that a kill cuts in half.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Writes ``checkpoint`` to ``path``."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_suffix(".tmp")
        torch.save(checkpoint, temporary)
        temporary.replace(target)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Reads ``path`` to the CPU; Lightning moves the tensors on."""
        return dict(torch.load(path, map_location=map_location or "cpu", weights_only=weights_only is not False))

    def remove_checkpoint(self, path: Any) -> None:
        """Removes ``path`` if it is there."""
        Path(path).unlink(missing_ok=True)
