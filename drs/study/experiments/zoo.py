"""What the alarms catch: broken defences and broken attacks, each audited, and healthy ones beside them.

One run audits one subject at one seed: a network as it is, the network behind a broken defence, or a broken attack on
the network. Which alarms fired is the result. They are those of
:mod:`drs.evaluation.zoo` and :mod:`drs.evaluation.broken_attacks`.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drs._seeding import seeded
from drs.errors import UsageError
from drs.evaluation.accuracy import accuracy, logits_of
from drs.evaluation.alarms import Alarm
from drs.evaluation.attack_audit import audit_attack
from drs.evaluation.audit import audit
from drs.evaluation.broken_attacks import FAULTS, pgd
from drs.evaluation.zoo import DEFENCES
from drs.study.experiments.base import Context, Outcome, Spec
from drs.study.metrics import alarm_word, column

__all__ = ["fine_tuned", "run"]


def fine_tuned(
    model: nn.Module, images: Tensor, labels: Tensor, updates: int, *, seed: int, batch: int = 128, rate: float = 0.05
) -> nn.Module:
    """Train a model further, in place, by SGD with momentum 0.9 on cross-entropy; returned in evaluation mode."""
    model.train()
    optimiser = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)
    with seeded(seed, images.device):
        for _ in range(updates):
            rows = torch.randint(len(images), (batch,), device=images.device)
            optimiser.zero_grad()
            F.cross_entropy(model(images[rows]), labels[rows]).backward()
            optimiser.step()
    return model.eval()


def run(spec: Spec, context: Context) -> Outcome:
    """Train or read the network, put the subject around it, audit it."""
    data = context.dataset(spec["network"]["dataset"])
    trained = context.network(spec["network"]).network
    images, labels = data.test.first(spec["images"]).to_float(context.device)
    subject, epsilon, seed = spec["subject"], spec["epsilon"], spec["network"]["seed"]
    if spec["kind"] == "attack":
        attack = FAULTS[subject].make(epsilon) if subject in FAULTS else pgd(epsilon)
        found = audit_attack(attack, trained, images, labels, epsilon=epsilon, seed=seed)
        clean = accuracy(logits_of(trained, images), labels)
        metrics = {"clean": clean, "strong_worst": found.plain.value, "pgd": found.accuracy.value}
        named = FAULTS[subject].caught_by if subject in FAULTS else ()
        return Outcome(metrics | _judged(found.alarms, named))
    defence = DEFENCES.get(subject)
    network: nn.Module = trained if defence is None else defence.wrap(trained)
    if defence is not None and defence.tuned:
        fine_tuned(network, *data.train.to_float(context.device), spec["updates"], seed=seed)
    try:
        audited = audit(
            network, images, labels, epsilon=epsilon, minutes=spec["minutes"], seed=seed, device=context.device
        )
    except UsageError as error:
        if defence is None or not defence.refused:
            raise
        return Outcome({"refused": 1.0, "caught": float(defence.refused in str(error)), "alarms": 0.0})
    values = {"refused": 0.0, "clean": audited.clean.value, "strong_worst": audited.worst.value}
    return Outcome(values | _judged(audited.alarms, () if defence is None else defence.caught_by))


def _judged(alarms: Iterable[Alarm], named: tuple[str, ...]) -> dict[str, float]:
    """Which alarms fired, how many, and whether those that name the cause are all among them."""
    fired = {alarm.name: float(alarm.fired) for alarm in alarms}
    values = {column("alarm", attack=alarm_word(name)): value for name, value in fired.items()}
    values["alarms"] = sum(fired.values())
    return values | ({"caught": float(all(fired.get(name) for name in named))} if named else {})
