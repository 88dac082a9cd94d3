"""The experiments on related methods: what they draw, attack and count, and rules that refuse untrained networks."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch

from drs.family.density_softmax import DensitySoftmax
from drs.family.recentralised import recentralised_loss
from drs.pages.chapter import provenance
from drs.study.claims import CLAIMS, finding
from drs.study.experiments import Context, captions, density, related, restrained
from drs.study.plan import plan
from drs.study.profiles import PROFILES
from drs.study.results import Results
from drs.training.datasets import Split
from drs.training.models import Network, build_model
from tests.study.test_thresholds import calibrated, captioned, on_moons, verified

CPU = torch.device("cpu")
END, START, PADDING = 10, 11, -100


def grey(count: int = 40) -> Split:
    """Images of one grey each, and as their labels the grey in tenths."""
    labels = torch.arange(count) % 10
    return Split((labels.view(-1, 1, 1, 1) * 25).expand(-1, 1, 28, 28).byte().contiguous(), labels)


# --- captions ---


def test_a_picture_holds_the_digits_of_its_caption_and_a_quarter_have_one_only() -> None:
    images, labels = grey().to_float()
    picture, caption = captions.pairs(images, labels, 400, torch.Generator().manual_seed(0))
    assert (picture.shape, caption.shape) == ((400, 1, 28, 56), (400, 3))
    seen = torch.stack([picture[..., :28], picture[..., 28:]]).flatten(2)
    assert torch.equal(seen.amin(2), seen.amax(2))  # a half shows one image
    left, right = (seen.amax(2) * 255 / 25).round().long()
    alone = caption[:, 1] == END
    assert torch.equal(caption[:, 0], left)
    assert torch.equal(caption[~alone, 1], right[~alone])
    assert torch.equal(right[alone], torch.zeros_like(right[alone]))
    assert caption[alone, 2].unique().tolist() == [PADDING]
    assert caption[~alone, 2].unique().tolist() == [END]
    assert 70 <= int(alone.sum()) <= 130


def test_the_network_is_told_the_words_before_each_word() -> None:
    caption = torch.tensor([[3, 7, END], [4, END, PADDING]])
    assert captions.words_before(caption).tolist() == [[START, 3, 7], [START, 4, END]]
    assert caption[1, 2] == PADDING  # its argument is left alone


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([3, 7, END], [3, 7, END], 1.0),
        ([3, 7, END], [7, 3, END], 1.0),  # sets of words, not their order
        ([3, 7, END], [3, END, PADDING], 0.5),
        ([3, 7, END], [3, 8, END], 1 / 3),
        ([3, 7, END], [1, 2, END], 0.0),
        ([END, PADDING, PADDING], [END, PADDING, PADDING], 1.0),
        ([END, PADDING, PADDING], [1, END, PADDING], 0.0),
        ([5, 5, END], [5, END, PADDING], 1.0),
    ],
)
def test_overlap_by_hand(one: list[int], other: list[int], expected: float) -> None:
    assert float(captions.overlap(torch.tensor([one]), torch.tensor([other]))) == pytest.approx(expected)
    assert float(captions.overlap(torch.tensor([other]), torch.tensor([one]))) == pytest.approx(expected)


def test_margin_is_the_mean_over_words_that_count() -> None:
    logits = torch.tensor([[[1.0, 4.0, 0.0], [2.0, 0.0, -1.0], [9.0, 0.0, 0.0]]])
    assert float(captions.margin(logits, torch.tensor([[0, 0, PADDING]]))) == pytest.approx((3.0 - 2.0) / 2)


def test_a_written_caption_ends_once_and_is_what_the_logits_say() -> None:
    torch.manual_seed(0)
    model = captions.Captioner().eval()
    images = torch.rand(64, 1, 28, 56)
    words = model.write(images)
    for row in words.tolist():
        after = row[row.index(END) + 1 :] if END in row else []
        assert after == [PADDING] * len(after)
        assert END in row or PADDING not in row
    told = model(images, captions.words_before(words)).argmax(2)
    assert torch.equal(told[words != PADDING], words[words != PADDING])
    with torch.no_grad():
        model.out.bias[END] = 99.0
    assert model.write(images).tolist() == [[END, PADDING, PADDING]] * 64


def test_an_attack_stays_in_its_budget_raises_its_objective_and_without_gradient_does_nothing() -> None:
    torch.manual_seed(0)
    model = captions.Captioner().eval()
    images = torch.rand(8, 1, 28, 56)
    clean, seen = model.write(images), []
    options = {"penalty": 0.1}

    model.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach().clone()))
    for name, objective in captions.objectives(options).items():
        seen.clear()
        found = captions.attack(model, images, clean, objective, epsilon=0.05, step_size=0.01)
        assert list(found) == [1, 2, 4, 10]
        assert len(seen) == 10
        for number, x in enumerate(seen):
            assert float((x - images).abs().max()) <= min(0.05, 0.01 * number) + 1e-6
            assert 0.0 <= float(x.min()) <= float(x.max()) <= 1.0
        if name == "zero":
            assert torch.equal(seen[-1], images)
            assert all(torch.equal(words, clean) for words in found.values())
        else:
            with torch.no_grad():
                told = captions.words_before(clean)
                before, after = (float(objective(model(x, told), clean)) for x in (images, seen[-1]))
            assert after > before, name
    z, y = torch.randn(4, 3, 12), torch.randint(0, 12, (4, 3))
    assert float(captions.objectives(options)["trained"](z, y)) == float(recentralised_loss(z, y, penalty=0.1))
    assert float(captions.objectives(options)["ce"](z, y)) == float(recentralised_loss(z, y, penalty=0.0))


def test_every_variant_is_a_loss_and_the_control_differs_in_its_axis_only() -> None:
    z, y = torch.randn(4, 3, 12), torch.randint(0, 12, (4, 3))
    for options in related.RECENTRALISED.values():
        assert bool(recentralised_loss(z, y, **options).isfinite())
    for weight in ("0.001", "0.1"):
        batch, classes = (related.RECENTRALISED[f"{name}-{weight}"] for name in ("prs", "classes"))
        assert classes == batch | {"across": "classes"}


def test_a_captioner_learns_and_says_how_well() -> None:
    spec = {"training_images": 40, "steps": 40, "batch": 16, "seed": 0, "recentralised": {"penalty": 0.0}}
    _, short = captions.trained(spec | {"steps": 1}, grey(), CPU)
    _, seen = captions.trained(spec, grey(), CPU)
    assert seen["train_loss"] < short["train_loss"]
    assert 0.0 <= short["train_accuracy"] < seen["train_accuracy"] <= 1.0


# --- density ---

SHIFTS = {"rotations": [90], "noises": [0.3], "contrasts": [0.5]}


def test_shifts_are_what_they_say() -> None:
    image = torch.zeros(2, 1, 28, 28)
    image[:, :, 5, :14] = 1.0
    turned, noisy, faded = density.shifted(image, SHIFTS)
    assert [(kind, size) for kind, size, _ in (turned, noisy, faded)] == [
        ("rotation", 90),
        ("noise", 0.3),
        ("contrast", 0.5),
    ]
    torch.testing.assert_close(turned[2], torch.rot90(image, 1, (2, 3)), atol=1e-5, rtol=0.0)
    torch.testing.assert_close(faded[2], image * 0.5)
    assert 0.0 <= float(noisy[2].min()) < float(noisy[2].max()) <= 1.0
    lit = noisy[2][image == 0.0]
    assert float((lit > 0).float().mean()) == pytest.approx(0.5, abs=0.05)  # the lower half is cut at 0
    assert float(lit[lit > 0].mean()) == pytest.approx(0.3 * math.sqrt(2 / math.pi), rel=0.1)


def test_scores_by_hand() -> None:
    logits = torch.tensor([[0.75, 0.25], [0.25, 0.75]]).log()
    found = density.judged(logits, torch.tensor([0, 0]))
    assert found["nll"] == pytest.approx(-(math.log(0.75) + math.log(0.25)) / 2)
    assert found["brier"] == pytest.approx((2 * 0.25**2 + 2 * 0.75**2) / 2)
    assert found["ece"] == pytest.approx(0.25)
    assert found["hits"] == 0.5


def scaled_heads() -> tuple[dict[str, DensitySoftmax], Network, torch.Tensor]:
    network = build_model("mlp", channels=1, classes=3, seed=0, size=4, width=8)
    torch.manual_seed(0)
    features = network.features(torch.rand(200, 1, 4, 4)).detach()
    labels = torch.randint(0, 3, (200,))
    spec = {"seed": 0, "flow_steps": 30, "head_steps": 5}
    flow = density._flow(features, spec)
    return density.heads(network, flow, features, labels, spec), network, features


def test_the_constant_has_the_mean_of_the_interval_map_and_every_head_is_its_own() -> None:
    models, network, features = scaled_heads()
    before = network.classifier.weight.detach().clone()
    with torch.no_grad():
        scales = {name: model.scale(features) for name, model in models.items()}
    assert float(scales["constant"].std()) == 0.0
    assert float(scales["constant"][0]) == pytest.approx(float(scales["interval"].mean()), rel=1e-5)
    assert scales["retrained"].unique().tolist() == [1.0]
    assert float(scales["ratio"].max()) == 1.0
    weights = [model.network.classifier.weight for model in models.values()]
    assert all(not torch.equal(one, before) for one in weights)
    assert len({tuple(one.flatten().tolist()) for one in weights}) == 4


def test_two_moons_are_moved_towards_each_other_and_uncertainty_is_p_times_one_minus_p() -> None:
    x, y = density.two_moons(400, 0)
    assert (x.shape, y.shape, x.dtype) == ((400, 2), (400,), torch.float32)
    for label, (across, up) in ((0, (-0.1, 0.2 + 2 / math.pi)), (1, (1.1, 0.3 - 2 / math.pi))):
        assert x[y == label].mean(0).tolist() == pytest.approx([across, up], abs=0.06)
    net = density.PlaneNet()
    with torch.no_grad():
        net.classifier.weight.zero_()
        net.classifier.bias.copy_(torch.tensor([0.0, math.log(3.0)]))
    assert density.uncertainty(net, x[:2]) == pytest.approx([0.1875, 0.1875])
    assert density.rank_correlation(np.array([0.1, 0.2, 0.2]), [1.0, 2.0, 3.0]) == pytest.approx(math.sqrt(0.75))
    assert density.rank_correlation(np.full(3, 0.25), [1.0, 2.0, 3.0]) == 0.0


def test_training_lowers_the_loss_and_the_penalty_acts() -> None:
    x, y = density.two_moons(300, 0)
    seen, norms = {}, {}
    for weight in (0.0, 1.0):
        torch.manual_seed(0)
        net = density.PlaneNet()
        seen[weight] = density.train(net, x, y, weight=weight, steps=150, rate=0.05, seed=0)
        points = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(net.features(points).sum(), points)
        norms[weight] = float((gradient.norm(dim=1) - 1.0).abs().mean())
        assert not net.training
    assert seen[0.0]["train_accuracy"] > 0.9
    assert seen[0.0]["train_loss"] < 0.3
    assert norms[1.0] < norms[0.0]


# --- restrained ---


def test_people_of_the_test_are_others_and_a_mask_shrinks_moves_and_blurs() -> None:
    (plain, masked, identity), (test_plain, _, others) = restrained.synthetic(0, people=(300, 20), each=4, size=32)
    assert not set(identity.tolist()) & set(others.tolist())
    assert [len(identity), len(others), plain.shape[1], test_plain.shape[1]] == [1200, 80, 32, 32]
    assert plain.var(dim=0).mean() == pytest.approx(1 + 0.49, rel=0.1)
    # half the space keeps its variance, the other half has 0.09 of it; both have the noise's 0.16
    assert masked.var(dim=0).mean() == pytest.approx(1.49 * (1 + 0.09) / 2 + 0.16, rel=0.1)
    assert float(masked.mean(dim=0).norm()) == pytest.approx(0.8 * math.sqrt(32), rel=0.1)
    same = [plain[identity == person] for person in (0, 1)]
    within, between = torch.cdist(same[0], same[0]).max(), torch.cdist(same[0], same[1]).min()
    assert float(within) < float(between)
    again = restrained.synthetic(0, people=(300, 20), each=4, size=32)[0][1]
    assert torch.equal(again, masked)


def test_the_mask_of_a_digit_is_its_lower_half() -> None:
    images = torch.rand(3, 1, 28, 28)
    masked = restrained.covered(images)
    assert torch.equal(masked[:, :, :14], images[:, :, :14])
    assert masked[:, :, 14:].unique().tolist() == [0.5]


def test_digits_of_the_test_are_of_classes_that_no_network_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    real = density.train

    def watched(network: object, images: torch.Tensor, labels: torch.Tensor, **options: object) -> dict[str, float]:
        seen.append(set(labels.tolist()))
        return real(network, images, labels, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(restrained, "train", watched)
    spec = {"dataset": "mnist5k", "seed": 0, "embedding_steps": 2}
    known, test, how = restrained.embedded_digits(spec, Context(CPU))
    assert seen == [set(range(7))]
    assert (set(known[2].tolist()), set(test[2].tolist())) == (set(range(7)), {7, 8, 9})
    assert [len(part) for part in test] == [300, 300, 300]
    assert set(how) == {"train_loss", "train_accuracy"}


def test_no_probe_meets_its_own_image() -> None:
    """Four images in four directions, two people: a probe that met itself would have a genuine score of 1."""
    found = restrained.verified("raw", torch.eye(4), torch.eye(4), torch.tensor([0, 0, 1, 1]))
    assert (found["genuine.raw"], found["impostor.raw"]) == (0.0, 0.0)
    pairs = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    found = restrained.verified("srt", pairs, pairs, torch.tensor([0, 0, 1, 1]))
    assert (found["eer.srt"], found["fnmr_100.srt"], found["fnmr_1000.srt"]) == (0.0, 0.0, 0.0)
    assert (found["genuine.srt"], found["impostor.srt"], found["fisher.srt"]) == (1.0, 0.0, math.inf)


def test_every_loss_learns_from_the_same_batches() -> None:
    pairs = restrained.synthetic(0, people=(40, 2), each=4, size=16)[0]
    spec = {"seed": 0, "steps": 40, "batch": 64}
    models = {}
    for name, loss in restrained.LOSSES.items():
        models[name], seen = restrained.improve(loss, pairs, spec)
        assert seen["after"] < seen["before"], name
        assert 0.0 <= seen["restrained"] <= 1.0
        assert not models[name].training
    assert set(models) == {"triplet", "srt", "pull"}
    probe = torch.randn(4, 16)
    assert not torch.equal(models["pull"](probe), models["triplet"](probe))


# --- grids and rules ---


@pytest.mark.parametrize("name", ["captions", "density", "restrained"])
def test_seeds_count_up_from_the_first_of_the_profile(name: str) -> None:
    for profile in PROFILES.values():
        repeats = getattr(profile, name).repeats
        seeds = {run.spec["seed"] for run in plan(name, profile.name)}
        assert seeds == set(range(profile.seeds[0], profile.seeds[0] + repeats))
        assert not any("repeats" in run.spec for run in plan(name, profile.name))


def straddling(frame: pd.DataFrame, column: str, rows: pd.Series, by: float) -> pd.DataFrame:
    """The same means, with seeds that lie ``by`` apart in one column of some rows."""
    frame = frame.copy()
    frame.loc[rows, column] += np.array([0.0, -by, by])
    return frame


def test_an_interval_that_straddles_leaves_a_claim_open() -> None:
    frame = captioned(0.01)
    for step in (1, 2, 4):
        frame = straddling(frame, f"overlap_steps_{step}.worst", frame["variant"] == "prs-0.001", 0.09)
    assert CLAIMS["R3"].judge(frame).verdict == "undecided"
    frame = calibrated(nll=0.02, ece=0.02)
    scaled = frame["gradient_penalty"] > 0
    for column in ("nll_shift.interval", "ece_shift.interval"):
        frame = straddling(frame, column, scaled, 0.2)
    assert CLAIMS["R4a"].judge(frame).verdict == "undecided"
    frame = calibrated(constant=0.92)
    assert CLAIMS["R4b"].judge(straddling(frame, "nll_shift.interval", scaled, 0.2)).verdict == "undecided"
    frame = on_moons(("ratio",), grown=0.6)
    frame = straddling(frame, "distance_correlation.ratio", frame["seed"] >= 0, 0.3)
    assert CLAIMS["R4c"].judge(frame).verdict == "undecided"


@pytest.mark.parametrize("data", ["synthetic", "mnist5k"])
@pytest.mark.parametrize(("claim", "rival"), [("R5a", "raw"), ("R5a", "triplet"), ("R5b", "pull")])
def test_every_fall_decides_and_one_that_is_open_leaves_the_claim_open(claim: str, rival: str, data: str) -> None:
    judge = CLAIMS[claim].judge
    rows = verified()["dataset"] == data
    assert judge(verified()).verdict == "reproduced"
    assert judge(straddling(verified(), f"eer.{rival}", rows, 0.09)).verdict == "undecided"
    assert judge(verified(**{f"{rival}_{data}": -0.02})).verdict == "not reproduced"
    assert judge(verified(**{f"{rival}_{data}": 0.0})).verdict == "not reproduced"  # equal is no fall
    least = judge(verified(**{f"{rival}_{data}": 0.006}))
    assert least.verdict == "reproduced"
    assert least.estimate == pytest.approx(0.006)


@pytest.mark.parametrize(
    ("claims", "frame", "change", "why"),
    [
        (("R3",), captioned(0.1), {"caption_exact": 0.79}, "a captioner has 0.79 of the clean captions right"),
        (("R3",), captioned(0.1), {"overlap_steps_10.zero": 0.9}, "without a gradient the overlap is 0.900"),
        (("R4a", "R4b"), calibrated(), {"train_accuracy": 0.94}, "a network has an accuracy in training of 0.940 only"),
        (("R4a", "R4b"), calibrated(), {"log_density_after": -9.0}, "a density fits held-out features no better"),
        (("R4c",), on_moons(("ratio",)), {"train_accuracy": 0.5}, "a network has an accuracy in training of 0.500"),
        (("R5a", "R5b"), verified(), {"train_accuracy": 0.9}, "a network has an accuracy in training of 0.900"),
        (("R5a", "R5b"), verified(), {"train_loss_after.triplet": 2.0}, "a network did not lower the loss triplet"),
    ],
)
def test_a_network_that_has_not_trained_tests_no_claim(
    claims: tuple[str, ...], frame: pd.DataFrame, change: dict[str, float], why: str
) -> None:
    for claim in claims:
        judged = CLAIMS[claim].judge(frame.assign(**change))
        assert judged.verdict == "undecided"
        assert judged.detail.startswith(f"not tested: {why}")
        assert math.isnan(judged.estimate)


def test_a_control_that_has_not_trained_does_not_close_the_claim() -> None:
    frame = captioned(0.1)
    frame.loc[frame["variant"] == "classes-0.1", "caption_exact"] = 0.5
    assert CLAIMS["R3"].judge(frame).verdict == "reproduced"
    for variant in ("ce", "prs-0.001", "prs-0.1"):
        lost = frame.assign(caption_exact=frame["caption_exact"].mask(frame["variant"] == variant, 0.5))
        assert CLAIMS["R3"].judge(lost).detail.startswith("not tested"), variant


def test_the_controls_of_a_claim_are_said() -> None:
    said = CLAIMS["R3"].judge(captioned(0.1)).detail
    assert "classes-0.001 -0.100 [-0.100, -0.100]" in said
    assert "after 10 steps +0.100 [+0.100, +0.100]" in said
    judged = CLAIMS["R4a"].judge(calibrated())
    assert "constant 1.000, retrained 1.000, temperature 1.000, oracle 1.000" in judged.detail
    assert judged.n == 3
    assert judged.estimate == pytest.approx(0.1)


def test_seeds_and_data_of_a_run_without_a_network_are_said() -> None:
    found = finding("R5a", "quick")
    assert (found.seeds, found.dataset) == (5, "mnist5k, synthetic")
    said = provenance(Results().records("restrained", "quick"), "quick").data
    assert "[10 runs]" in said
    assert "; data mnist5k, synthetic; seeds 0 to 4 (5)" in said
