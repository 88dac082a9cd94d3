"""PRSL on a tiny captioner: one or two digits side by side become words, and the image is attacked.

The caption is the digits and an end word, padded to three tokens. The network is a CNN and a GRU, trained with teacher
forcing. BIM raises a loss against the network's OWN clean caption, as the authors' code does; the tensor stays in
memory between steps. What is measured is the overlap of the words with that clean caption.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn

from drs._seeding import seeded
from drs.attacks.base import project
from drs.evaluation.accuracy import share
from drs.family.recentralised import recentralised_loss
from drs.study.experiments.base import Context, Outcome, Spec
from drs.study.metrics import column
from drs.training.datasets import Split

__all__ = [
    "SHOWN_STEPS",
    "Captioner",
    "attack",
    "margin",
    "objectives",
    "overlap",
    "pairs",
    "run",
    "trained",
    "words_before",
]

WORDS, END, START, TOKENS, PADDING = 12, 10, 11, 3, -100
SHOWN_STEPS = (1, 2, 4, 10)
"""After how many steps of the attack a caption is written."""
SEEN = 50
"""Updates at the end over which loss and accuracy in training are means."""
Objective: TypeAlias = Callable[[Tensor, Tensor], Tensor]


class Captioner(nn.Module):
    """Three strided convolutions, a linear layer, and a GRU whose first state is the picture.

    >>> Captioner().write(torch.zeros(2, 1, 28, 56)).shape
    torch.Size([2, 3])

    Args:
        size: Length of the state.
    """

    def __init__(self, size: int = 64) -> None:
        super().__init__()
        self.picture = nn.Sequential(
            *(nn.Conv2d(1, 8, 5, 2, 2), nn.BatchNorm2d(8), nn.ReLU()),
            *(nn.Conv2d(8, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU()),
            *(nn.Conv2d(16, 24, 3, 2, 1), nn.BatchNorm2d(24), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(24 * 4 * 7, size), nn.Tanh()),
        ).to(memory_format=torch.channels_last)
        self.words = nn.Embedding(WORDS, size)
        self.state = nn.GRUCell(size, size)
        self.out = nn.Linear(size, WORDS)

    def forward(self, images: Tensor, before: Tensor) -> Tensor:
        """Logits (N, T, words) of each next word, given the words before it (N, T)."""
        state, found = self.picture(images - 0.5), []
        for token in range(before.shape[1]):
            state = self.state(self.words(before[:, token]), state)
            found.append(self.out(state))
        return torch.stack(found, dim=1)

    @torch.no_grad()
    def write(self, images: Tensor) -> Tensor:
        """The most likely words one by one, (N, T); padding after the end."""
        state = self.picture(images - 0.5)
        word = torch.full((len(images),), START, device=images.device)
        ended, words = torch.zeros_like(word, dtype=torch.bool), []
        for _ in range(TOKENS):
            state = self.state(self.words(word), state)
            word = self.out(state).argmax(dim=1)
            words.append(word.masked_fill(ended, PADDING))
            ended = ended | (word == END)
        return torch.stack(words, dim=1)


def pairs(images: Tensor, labels: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Pictures of two digits side by side, a quarter of them with the second one left out, and their captions.

    Args:
        images, labels: (M, 1, 28, 28) and (M,), to draw from with replacement.
        count: N.
        generator: Of the draws.

    Returns:
        (N, 1, 28, 56) pictures and (N, 3) captions: digits, the end word, padding.
    """
    first, second = (torch.randint(0, len(labels), (count,), generator=generator) for _ in range(2))
    alone = torch.rand(count, generator=generator) < 0.25
    first, second, alone = (each.to(images.device) for each in (first, second, alone))
    picture = torch.cat([images[first], images[second].masked_fill(alone.view(-1, 1, 1, 1), 0.0)], dim=3)
    end, padding = torch.full_like(first, END), torch.full_like(first, PADDING)
    caption = [labels[first], torch.where(alone, end, labels[second]), torch.where(alone, padding, end)]
    return picture, torch.stack(caption, dim=1)


def words_before(caption: Tensor) -> Tensor:
    """What the network is told at each token: the start word, then the caption; padding becomes the end word.

    >>> words_before(torch.tensor([[3, 10, -100]]))
    tensor([[11,  3, 10]])
    """
    before = torch.cat([torch.full_like(caption[:, :1], START), caption[:, :-1]], dim=1)
    return before.masked_fill(before == PADDING, END)


def overlap(first: Tensor, second: Tensor) -> Tensor:
    """Jaccard index (N,) of the sets of words of two captions (N, T), the end word and padding left out.

    >>> overlap(torch.tensor([[3, 7, 10]]), torch.tensor([[7, 10, -100]]))
    tensor([0.5000])

    Two captions without a word are alike.
    """
    sets = [
        (nn.functional.one_hot(each.clamp_min(0), WORDS) * (each >= 0).unsqueeze(2)).amax(1)[:, :END]
        for each in (first, second)
    ]
    union = torch.maximum(*sets).sum(1)
    return torch.minimum(*sets).sum(1) / union.clamp_min(1) + (union == 0)


def margin(logits: Tensor, caption: Tensor) -> Tensor:
    """Mean over the words that count of the largest false logit minus the true one."""
    kept = caption != PADDING
    flat, true = logits[kept], caption[kept].unsqueeze(1)
    return (flat.scatter(1, true, -torch.inf).amax(1) - flat.gather(1, true).squeeze(1)).mean()


def objectives(options: Spec) -> dict[str, Objective]:
    """What is attacked: cross-entropy, the loss the network was trained with, the margin; and a gradient of zero."""
    return {
        "ce": lambda logits, caption: recentralised_loss(logits, caption, penalty=0.0),
        "trained": lambda logits, caption: recentralised_loss(logits, caption, **options),
        "margin": margin,
        "zero": lambda logits, caption: logits.sum() * 0.0,
    }


def attack(
    model: Captioner, images: Tensor, caption: Tensor, objective: Objective | None, *, epsilon: float, step_size: float
) -> dict[int, Tensor]:
    """Captions (N, T) after each of :data:`SHOWN_STEPS` sign steps; ``objective`` None takes random signs."""
    x, before, found = images, words_before(caption), {}
    generator = torch.Generator().manual_seed(0)
    for step in range(1, max(SHOWN_STEPS) + 1):
        if objective is None:
            gradient = torch.randn(images.shape, generator=generator).to(images.device)
        else:
            x = x.detach().requires_grad_(True)
            (gradient,) = torch.autograd.grad(objective(model(x, before), caption), x)
        x = project(x.detach() + step_size * gradient.sign(), images, epsilon, "linf").clamp(0.0, 1.0)
        if step in SHOWN_STEPS:
            found[step] = model.write(x)
    return found


def trained(spec: Spec, split: Split, device: torch.device) -> tuple[Captioner, dict[str, float]]:
    """A captioner of digits, with its loss and its share of right words over the last updates."""
    digits, labels = split.first(spec["training_images"]).to_float(device)
    generator = torch.Generator().manual_seed(spec["seed"])
    with seeded(spec["seed"], device):
        model = Captioner().to(device)
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    seen = []
    for _ in range(spec["steps"]):
        images, caption = pairs(digits, labels, spec["batch"], generator)
        logits = model(images, words_before(caption))
        loss = recentralised_loss(logits, caption, **spec["recentralised"])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        kept = caption != PADDING
        seen.append((float(loss.detach()), share(logits.argmax(2)[kept] == caption[kept])))
    losses, hits = zip(*seen[-SEEN:])
    return model.eval(), {"train_loss": sum(losses) / len(losses), "train_accuracy": sum(hits) / len(hits)}


@torch.no_grad()
def _spread(model: Captioner, images: Tensor, caption: Tensor) -> dict[str, float]:
    """Spread of the false logits inside a token, and of the means that PRSL restrains between tokens."""
    kept = caption != PADDING
    logits = model(images, words_before(caption))[kept]
    false = logits.scatter(1, caption[kept].unsqueeze(1), -torch.inf).sort(1, descending=True).values[:, :-1]
    return {"false_std": float(false.std(1).mean()), "batch_std": float(false[:, :4].mean(1).std())}


def run(spec: Spec, context: Context) -> Outcome:
    """Train a captioner, write clean captions, attack it with three losses, with no gradient and with noise."""
    data = context.dataset(spec["dataset"])
    model, metrics = trained(spec, data.train, context.device)
    test = data.test.to_float(context.device)
    images, truth = pairs(*test, spec["images"], torch.Generator().manual_seed(1000))
    clean = model.write(images)
    metrics |= {"images": float(len(images)), "caption_exact": share((clean == truth).all(1))}
    metrics |= _spread(model, images, clean)
    tokens = spec["batch"] * float((truth != PADDING).sum(1).float().mean())
    metrics["scaled_penalty"] = spec["recentralised"]["penalty"] * tokens
    worst: dict[int, Tensor] = {}
    for name, objective in [*objectives(spec["recentralised"]).items(), ("noise", None)]:
        written = attack(model, images, clean, objective, epsilon=spec["epsilon"], step_size=spec["step_size"])
        for step, words in written.items():
            each = overlap(words, clean)
            metrics[column(f"overlap_steps_{step}", attack=name)] = float(each.mean())
            if name not in ("zero", "noise"):
                worst[step] = torch.minimum(worst.get(step, each), each)
    metrics |= {column(f"overlap_steps_{step}", attack="worst"): float(each.mean()) for step, each in worst.items()}
    return Outcome(metrics)
