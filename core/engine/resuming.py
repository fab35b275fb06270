"""A training put back to where a checkpoint left it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from core.engine.assembly import Assembly
from core.engine.checkpoint import network_tensors, part, read_meta, read_tensors
from core.engine.environment import differences
from core.engine.folds import FoldResult
from core.engine.steps.choice import StepPath
from core.spec.schedules import DEPENDS_ON_TOTAL


@dataclass(frozen=True, slots=True)
class LeftOff:
    """Where a run left off: the fold under way, what the folds before came to, the last change in force, its path."""

    fold: int = 0
    results: tuple[FoldResult, ...] = ()
    changes: int = 0
    path: StepPath | None = None

    @classmethod
    def read(cls, resume: tuple[Path, Path] | None) -> LeftOff:
        """Of a checkpoint's files; the beginning without one."""
        if resume is None:
            return cls()
        meta = read_meta(resume[1])
        results = tuple(FoldResult(**told) for told in meta.get("results", ()))
        # states written before there was a choice are of the one way that there was
        return cls(meta.get("fold", 0), results, meta.get("changes", 0), meta.get("path", "autograd"))


def restore(run: Assembly, content: Path, state: Path) -> list[str]:
    """Puts the run where its files left it; returns why what follows is not bit for bit, empty when it is."""
    tensors, _ = read_tensors(content)
    run.network.load_state_dict(tensors)
    state_tensors, meta = read_tensors(state)
    on_device = {name: tensor.to(run.device) for name, tensor in state_tensors.items() if not name.startswith("rng.")}
    run.step, run.changes = meta["step"], meta.get("changes", 0)
    run.elapsed_before_s = meta.get("elapsed_s", 0.0)
    run.told_negative_loss = meta.get("told_negative_loss", False)
    run.optimizer.load(part(on_device, "optimizer"), meta["optimizer"])
    run.pace.load(meta["pace"])
    run.patience.load(meta["patience"])
    run.tally.load(part(on_device, "tally"), meta["tally"])
    run.watch.load(meta.get("watch"), run.step)
    best = part(on_device, "best")
    if meta["best"]["step"] == run.step:
        best = {name: tensor.clone() for name, tensor in network_tensors(run.network).items()}
    run.best.load(meta["best"], best)
    if "rng.cpu" in state_tensors:
        torch.set_rng_state(state_tensors["rng.cpu"])
    reasons = differences(meta["environment"], run.environment)
    if run.path != meta.get("path", "autograd"):
        reasons.append(f"steps were {meta['path']} and are {run.path}: this worker cannot compile")
    if run.device.type == "cuda" and "rng.cuda" in state_tensors:
        torch.cuda.set_rng_state(state_tensors["rng.cuda"], run.device)
    if run.spec.training.epochs > meta["epochs"]:
        # whoever asks for more epochs gives them time as well
        run.elapsed_before_s = 0.0
        if run.patience.is_over:
            run.patience.waited = 0
            reasons.append("early stopping had ended the run and counts anew")
        shortened = run.spec.schedule.warmup_steps >= meta["epochs"] * run.batching.steps_per_epoch
        if run.spec.schedule.type in DEPENDS_ON_TOTAL or shortened:
            reasons.append(f"the {run.spec.schedule.type} schedule spans {run.spec.training.epochs} epochs now")
    return reasons
