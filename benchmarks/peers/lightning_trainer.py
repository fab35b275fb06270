"""Lightning's Trainer with everything switched off that is not training: no log, no bar, no checkpoint."""

from __future__ import annotations

import logging
import warnings

import torch
from lightning import LightningModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.engine.workloads import LR, Data, Workload
from benchmarks.peers.peer import Train
from benchmarks.peers.torch_networks import loss_of, network, target_of


class Module(LightningModule):  # type: ignore[misc,unused-ignore] # untyped where it is not installed
    """The workload's network as Lightning wants it."""

    def __init__(self, workload: Workload) -> None:
        super().__init__()
        self.network, self.loss = network(workload), loss_of(workload)

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        x, target = batch
        loss: Tensor = self.loss(self.network(x), target)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=LR)


def prepare(workload: Workload, data: Data, threads: int) -> Train:
    """The training, ready to go."""
    warnings.simplefilter("ignore")
    for name in ("lightning", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.ERROR)
    torch.set_num_threads(threads)
    module = Module(workload)
    rows = TensorDataset(torch.from_numpy(data.x), target_of(workload, data.y))
    loader = DataLoader(rows, batch_size=workload.batch, shuffle=True)

    def train(epochs: int) -> None:
        trainer = Trainer(
            accelerator="cpu",
            max_epochs=epochs,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, loader)

    return train
