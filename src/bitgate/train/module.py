"""The Lightning module: one optimization step, and validation by networks drawn from the posterior."""

from typing import Any

import lightning
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from bitgate.nn import Classifier, clip_latents, fix_weights, mean_entropy_bits, set_temperature, set_trick
from bitgate.train.config import FitConfig
from bitgate.train.objective import distillation, free_energy
from bitgate.train.schedules import Schedule

Batch = tuple[Tensor, ...]  # x, lengths, labels, and the teachers' predictions where there are teachers


STEPS_PER_CALL = 8
"""Optimization steps for each call of Lightning's, whose hooks cost a fifth of a small model's step."""


class ClassifierTraining(lightning.LightningModule):
    """Trains a classifier on lists of batches ``(x, lengths, labels)`` by the free energy, a step a batch.

    Every epoch is a pure function of the weights, the optimizer's state, the seed and the epoch's number: the random
    generator is seeded anew at its start. So a run that was killed and resumed ends with the same weights.
    """

    def __init__(self, model: Classifier, config: FitConfig, n_examples: int) -> None:
        super().__init__()
        self.automatic_optimization = False  # which would take one step a call
        self.model = model
        self.config = config
        self.n_examples = n_examples
        self._networks: dict[str, list[Classifier]] = {}
        self._correct: dict[str, int] = {}
        self._seen = 0
        self._loss_sum, self._n_summed = torch.zeros(()), 0
        self._epoch_values: dict[str, float] = {}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Adam, with the learning rate's schedule over epochs."""
        return make_optimizer(self.model, self.config)

    def on_train_epoch_start(self) -> None:
        """Sets the epoch's temperature, and at the end of a pretraining the trick."""
        epoch = self.current_epoch
        if self.config.pretrain_epochs:
            set_trick(self.model, "lr" if epoch < self.config.pretrain_epochs else "r")
        temperature = self.config.temperatures().at(epoch, self.config.epochs)
        set_temperature(self.model, temperature)
        rate = self.optimizers().param_groups[0]["lr"]  # type: ignore[union-attr]
        self._epoch_values = {"temperature": temperature, "learning_rate": rate}
        self._loss_sum, self._n_summed = torch.zeros((), device=self.device), 0

    def on_train_batch_start(self, batch: list[Batch], batch_idx: int) -> None:
        """Seeds the epoch at its first batch.

        Not earlier: making the loader's iterator draws a number, and a resumed run makes it before the epoch starts.
        """
        if batch_idx == 0:
            torch.manual_seed((self.config.seed << 20) + self.current_epoch)

    def training_step(self, batch: list[Batch], batch_idx: int) -> None:
        """A step of the optimizer for each batch."""
        counted = self.optimizers()
        assert isinstance(counted, LightningOptimizer)
        for part in batch:
            # Lightning counts the steps of its own optimizer, which checkpoints go by: one a call is enough.
            optimizer = counted if part is batch[-1] else counted.optimizer
            optimizer.zero_grad()
            self.manual_backward(self.loss(part))
            if self.config.clip_norm:
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
            optimizer.step()

    def loss(self, batch: Batch) -> Tensor:
        """Loss of one batch under one draw of the weights."""
        x, lengths, labels, *targets = batch
        logits = self.model(x, lengths)
        loss = free_energy(
            logits,
            labels,
            self.model,
            n_examples=self.n_examples,
            kl_weight=self.config.kl_weight,
            prior=self.config.prior,
            entropy_weight=self.config.entropy_weight,
        )
        if targets:
            share = self.config.distill_weight
            loss = (1 - share) * loss + share * distillation(logits, targets[0], self.config.distill_temperature)
        self._loss_sum += loss.detach() * len(labels)
        self._n_summed += len(labels)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Logs the epoch behind its last batch.

        To log every step would cost a tenth of a small model's step, and as much again what is kept between steps.
        """
        if self.trainer.is_last_batch:
            values: dict[str, Any] = {"train_loss": self._loss_sum / self._n_summed, **self._epoch_values}
            for name, value in values.items():
                self.log(name, value, on_step=False, on_epoch=True, batch_size=1)

    def on_train_epoch_end(self) -> None:
        """Moves the learning rate."""
        schedule = self.lr_schedulers()
        if schedule is not None:
            schedule.step()  # type: ignore[union-attr]

    def on_validation_epoch_start(self) -> None:
        """Fixes the networks to validate: the mode, and draws if there is a posterior."""
        generator = torch.Generator(self.device).manual_seed((self.config.seed << 20) + self.current_epoch)
        self._networks = {"map": [fix_weights(self.model)]}
        if self.config.is_random:
            self._networks["sample"] = [
                fix_weights(self.model, "sample", generator=generator) for _ in range(self.config.draws)
            ]
        self._correct = dict.fromkeys(self._networks, 0)
        self._seen = 0

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Counts correct predictions of every network."""
        x, lengths, labels = batch
        self._seen += len(labels)
        for kind, networks in self._networks.items():
            hits = [(network(x, lengths).argmax(dim=-1) == labels).sum() for network in networks]
            self._correct[kind] += int(torch.stack(hits).sum())

    def on_validation_epoch_end(self) -> None:
        """Logs accuracies (mean over draws for the sample metric) and the mean entropy of the weights."""
        for kind, networks in self._networks.items():
            self.log(f"val_{kind}", self._correct[kind] / (self._seen * len(networks)), sync_dist=True)
        entropy = mean_entropy_bits(self.model)
        if entropy is not None:
            self.log("entropy_bits", entropy)
        self._networks = {}


def make_optimizer(model: nn.Module, config: FitConfig) -> OptimizerLRScheduler:
    """Adam (torch's fused one), with the learning rate's schedule over epochs.

    Scales move slower than weights: one scale stands for a whole matrix, and at the weights' rate it grows faster
    than the draws can settle (the r-trick then diverges). So do the scales of gates that share projections.
    """
    named = dict(model.named_parameters())
    scales = [p for name, p in named.items() if "log_scale" in name or "gate_scale" in name]
    others = [p for name, p in named.items() if "log_scale" not in name and "gate_scale" not in name]
    rate = config.effective_learning_rate
    groups: list[dict[str, Any]] = [{"params": others}]
    if scales:
        groups.append({"params": scales, "lr": config.scale_learning_rate})
    optimizer = torch.optim.Adam(groups, lr=rate, fused=True)
    if config.clip_latents and config.method == "qat":
        optimizer.register_step_post_hook(lambda *_: clip_latents(model))
    if config.learning_rate_schedule == "constant":
        return {"optimizer": optimizer}
    decay = Schedule("cosine", 1.0, 0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: decay.at(epoch, config.epochs))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "epoch"}}
