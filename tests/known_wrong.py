"""Submissions with known mistakes, each a few edits of the solution, as a student would have made them.

``python -m tests.known_wrong`` writes them to ``tests/submissions`` from the masters; a test compares. What each is
worth, and which tests have to catch it, is said here by hand.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent / "submissions"

Edit = tuple[str, str]


@dataclass(frozen=True)
class KnownWrong:
    """A submission: its place under ``tests/submissions``, its edits, its score and the tests that fail."""

    path: str
    score: float
    failed: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()

    @property
    def assignment(self) -> str:
        return self.path.split("/")[0]


GRADED = (
    # a1_softmax
    KnownWrong("a1_softmax/reference", 20),
    KnownWrong(
        "a1_softmax/softmax_overflows",
        19,
        ("q1.test_large_logits_stay_finite",),
        (("powers = shifted.exp()", "powers = logits.exp()"),),
    ),
    KnownWrong(
        "a1_softmax/softmax_passed_as_logits",
        16,
        (
            "q2.test_confident_example_costs_nothing",
            "q2.test_hopeless_example_has_a_finite_loss",
            "q5.test_one_example_by_hand",
            "q5.test_without_weight_it_is_cross_entropy",
        ),
        (("    true = logits.gather", "    logits = softmax(logits)\n    true = logits.gather"),),
    ),
    KnownWrong(
        "a1_softmax/mean_over_all_classes",
        14,
        (
            "q3.test_four_classes_by_hand",
            "q3.test_divides_by_the_number_of_false_classes",
            "q3.test_true_class_and_a_shift_change_nothing",
            "q5.test_one_example_by_hand",
            "q5.test_penalty_pulls_the_false_logits_together",
            "q6.test_a_smaller_last_batch_counts_as_its_images",
        ),
        (("count = values.shape[1] - 1", "count = values.shape[1]"),),
    ),
    KnownWrong(
        "a1_softmax/loop_over_examples",
        19,
        ("q3.test_has_no_python_loop_over_examples",),
        (
            (
                """    index = target.unsqueeze(1)
    count = values.shape[1] - 1
    mean = values.scatter(1, index, 0.0).sum(dim=1, keepdim=True) / count
    squares = (values - mean).square().scatter(1, index, 0.0)
    return squares.sum(dim=1) / count""",
                """    rows = []
    for row, y in zip(values, target.tolist()):
        false = torch.cat([row[:y], row[y + 1 :]])
        rows.append(((false - false.mean()) ** 2).mean())
    return torch.stack(rows)""",
            ),
        ),
    ),
    KnownWrong(
        "a1_softmax/penalty_summed_over_the_batch",
        19,
        ("q5.test_doubling_the_batch_changes_nothing",),
        (("weight * squares.mean()", "weight * squares.sum()"),),
    ),
    KnownWrong(
        "a1_softmax/penalty_with_the_wrong_sign",
        18,
        ("q5.test_one_example_by_hand", "q5.test_penalty_pulls_the_false_logits_together"),
        (("cross_entropy(logits, target) + weight", "cross_entropy(logits, target) - weight"),),
    ),
    KnownWrong(
        "a1_softmax/batch_norm_in_training_mode",
        19,
        ("q6.test_batch_normalisation_is_in_evaluation_mode",),
        (("    network.eval()\n    total", "    total"),),
    ),
    KnownWrong(
        "a1_softmax/mean_of_batch_means",
        19,
        ("q6.test_a_smaller_last_batch_counts_as_its_images",),
        (
            ("total = 0.0\n", "means = []\n"),
            (
                "total += float(false_variance(network(batch), target).sum())",
                "means.append(float(false_variance(network(batch), target).mean()))",
            ),
            ("return total / len(images)", "return sum(means) / len(means)"),
        ),
    ),
    KnownWrong(
        "a1_softmax/careless",
        9,
        (
            "q1.test_two_classes_by_hand",
            "q1.test_each_row_sums_to_one",
            "q1.test_large_logits_stay_finite",
            "q2.test_uniform_logits_cost_log_c",
            "q4.test_equal_false_classes_have_the_largest_entropy",
            "q4.test_true_logit_does_not_matter",
            "q4.test_extreme_logits_give_no_nan",
            "q5.test_without_weight_it_is_cross_entropy",
            "q5.test_doubling_the_batch_changes_nothing",
            "q6.test_all_images_in_one_batch",
            "q6.test_a_smaller_last_batch_counts_as_its_images",
        ),
        (
            ("powers / powers.sum(dim=1, keepdim=True)", "powers / powers.sum(dim=0, keepdim=True)"),
            ("(torch.logsumexp(logits, dim=1) - true).mean()", "(torch.logsumexp(logits, dim=1) - true).sum()"),
            ("    q = log_q.exp().scatter(1, index, 0.0)\n", ""),
            (
                "log_q = torch.log_softmax(logits.scatter(1, index, -math.inf), dim=1).scatter(1, index, 0.0)",
                "p = torch.softmax(logits, dim=1).scatter(1, index, 0.0)",
            ),
            ("return -(q * log_q).sum(dim=1)", "return -(p * p.log()).sum(dim=1)"),
            ("return total / len(images)", "return total"),
        ),
    ),
    # a2_attacks
    KnownWrong("a2_attacks/reference", 20),
    KnownWrong(
        "a2_attacks/no_clipping",
        19,
        ("q2.test_pixels_stay_in_range",),
        (
            (
                "(images + epsilon * input_gradient(model, images, labels).sign()).clamp(0.0, 1.0)",
                "images + epsilon * input_gradient(model, images, labels).sign()",
            ),
        ),
    ),
    KnownWrong(
        "a2_attacks/goes_down",
        19,
        ("q2.test_loss_goes_up",),
        (("(images + epsilon * input_gradient", "(images - epsilon * input_gradient"),),
    ),
    KnownWrong(
        "a2_attacks/batch_norm_in_training_mode",
        19,
        ("q1.test_evaluation_mode_and_no_trace",),
        (("    model.eval()\n    moved = images.detach()", "    moved = images.detach()"),),
    ),
    KnownWrong(
        "a2_attacks/mean_over_the_batch",
        19,
        ("q1.test_each_image_has_its_own_gradient",),
        (('labels, reduction="sum")', "labels)"),),
    ),
    KnownWrong(
        "a2_attacks/softmax_passed_as_logits",
        18,
        ("q1.test_one_image_of_a_linear_model", "q1.test_each_image_has_its_own_gradient"),
        (("F.cross_entropy(model(moved), labels", "F.cross_entropy(model(moved).softmax(dim=1), labels"),),
    ),
    KnownWrong(
        "a2_attacks/projects_around_the_last_step",
        18,
        ("q4.test_keeps_one_step_in_budget_and_range", "q4.test_many_steps_stay_around_the_original"),
        (
            (
                """        moved = moved + step_size * input_gradient(model, moved, labels).sign()
        moved = project(moved, images, epsilon)""",
                """        step = moved + step_size * input_gradient(model, moved, labels).sign()
        moved = project(step, moved, epsilon)""",
            ),
        ),
    ),
    KnownWrong(
        "a2_attacks/evaluation_without_a_seed",
        19,
        ("q4.test_same_seed_same_images",),
        (
            ("    generator = torch.Generator().manual_seed(seed)\n", ""),
            ("torch.rand(images.shape, generator=generator)", "torch.rand(images.shape)"),
        ),
    ),
    KnownWrong(
        "a2_attacks/believes_the_attack",
        18,
        ("q5.test_refuses_what_breaks_budget_or_range", "q5.test_judges_in_evaluation_mode"),
        (
            (
                """        if float((moved - batch).abs().max()) > epsilon + 1e-6:
            raise ValueError("the attack broke its budget")
        if float(moved.min()) < 0.0 or float(moved.max()) > 1.0:
            raise ValueError("the attack left the pixel range")
        model.eval()
""",
                "",
            ),
        ),
    ),
    KnownWrong(
        "a2_attacks/least_accuracy_as_worst_case",
        19,
        ("q6.test_attacks_that_fool_different_images",),
        (("right.all(dim=0).float().mean()", "right.float().mean(dim=1).min()"),),
    ),
    KnownWrong(
        "a2_attacks/writes_into_the_images",
        17,
        (
            "q2.test_moves_grey_pixels_by_epsilon",
            "q2.test_loss_goes_up",
            "q2.test_no_budget_changes_nothing",
        ),
        (
            (
                "return (images + epsilon * input_gradient(model, images, labels).sign()).clamp(0.0, 1.0)",
                "images += epsilon * input_gradient(model, images, labels).sign()\n    return images.clamp_(0.0, 1.0)",
            ),
        ),
    ),
    KnownWrong(
        "a2_attacks/careless",
        10,
        (
            "q3.test_budget_by_hand",
            "q3.test_budget_and_range_together",
            "q4.test_many_steps_stay_around_the_original",
            "q4.test_twenty_steps_beat_one",
            "q4.test_start_is_random_in_the_ball",
            "q5.test_no_attack_gives_the_clean_accuracy",
            "q5.test_averages_over_images_not_batches",
            "q5.test_judges_in_evaluation_mode",
            "q6.test_nested_attacks",
            "q6.test_attacks_that_fool_different_images",
        ),
        (
            ("(images + (perturbed - images).clamp(-epsilon, epsilon)).clamp(0.0, 1.0)", "perturbed.clamp(0.0, 1.0)"),
            ("moved = project(images + epsilon * start, images, epsilon)", "moved = images"),
            ("moved = moved + step_size", "moved = moved - step_size"),
            ("return right / len(images)", "return right"),
            ("right.all(dim=0)", "right.any(dim=0)"),
        ),
    ),
    # a3_detection
    KnownWrong("a3_detection/reference", 20),
    KnownWrong(
        "a3_detection/divides_by_all_classes",
        16,
        (
            "q1.test_rows_sum_to_one",
            "q2.test_uniform_logits_cost_log_c",
            "q2.test_smallest_value_is_finite",
            "q2.test_pushes_the_true_logit_down",
        ),
        (("1.0 / (classes - 1)", "1.0 / classes"),),
    ),
    KnownWrong(
        "a3_detection/logits_not_negated",
        18,
        ("q3.test_lowest_logit_wins", "q3.test_is_the_softmax_of_the_negated_logits"),
        (("torch.softmax(-logits, dim=1)", "torch.softmax(logits, dim=1)"),),
    ),
    KnownWrong(
        "a3_detection/one_minus_the_softmax",
        19,
        ("q3.test_is_the_softmax_of_the_negated_logits",),
        (("return torch.softmax(-logits, dim=1)", "return 1 - torch.softmax(logits, dim=1)"),),
    ),
    KnownWrong(
        "a3_detection/entropy_of_rounded_probabilities",
        19,
        ("q4.test_underflow_gives_no_nan",),
        (
            (
                "    return -(log_q.exp() * log_q).sum(dim=1)",
                """    p = torch.softmax(logits, dim=1)
    others = torch.stack([row[torch.arange(len(row)) != y] for row, y in zip(p, predicted[:, 0])])
    q = others / others.sum(dim=1, keepdim=True)
    return -(q * q.log()).sum(dim=1)""",
            ),
        ),
    ),
    KnownWrong(
        "a3_detection/density_underflows",
        19,
        ("q5.test_far_away_stays_finite",),
        (
            (
                "torch.logsumexp(-squared / bandwidth, dim=1) - math.log(len(examples))",
                "torch.exp(-squared / bandwidth).mean(dim=1).log()",
            ),
        ),
    ),
    KnownWrong(
        "a3_detection/auc_upside_down",
        18,
        ("q6.test_higher_means_more_normal", "q6.test_ties_count_half"),
        (("normal.unsqueeze(1) - adversarial.unsqueeze(0)", "adversarial.unsqueeze(1) - normal.unsqueeze(0)"),),
    ),
    KnownWrong(
        "a3_detection/threshold_from_the_test_images",
        18,
        ("q7.test_threshold_comes_from_the_held_out_images",),
        (("limit = threshold(held_scores, rate)", "limit = threshold(test_scores, rate)"),),
    ),
    KnownWrong(
        "a3_detection/careless",
        6,
        (
            "q1.test_zero_at_the_true_class_and_equal_elsewhere",
            "q1.test_rows_sum_to_one",
            "q4.test_equal_others_have_the_largest_entropy",
            "q4.test_leaves_out_the_predicted_class",
            "q5.test_two_examples_by_hand",
            "q5.test_bandwidth_and_squared_distance",
            "q5.test_far_away_stays_finite",
            "q6.test_scores_that_say_nothing",
            "q6.test_higher_means_more_normal",
            "q6.test_ties_count_half",
            "q7.test_rejects_at_most_the_rate",
            "q7.test_low_scores_are_rejected",
            "q7.test_threshold_comes_from_the_held_out_images",
        ),
        (
            ("return equal.scatter(1, target.unsqueeze(1), 0.0)", "return equal.scatter(1, target.unsqueeze(1), 1.0)"),
            ("predicted = logits.argmax(dim=1, keepdim=True)", "predicted = logits.argmin(dim=1, keepdim=True)"),
            ("torch.cdist(features, examples).square()", "torch.cdist(features, examples)"),
            (", dim=1) - math.log(len(examples))", ", dim=1)"),
            (
                "return float((difference > 0).float().mean() + 0.5 * (difference == 0).float().mean())",
                "return float(difference.mean() > 0)",
            ),
            ("normal_scores.sort().values", "normal_scores.sort(descending=True).values"),
        ),
    ),
    # a4_capstone
    KnownWrong("a4_capstone/reference", 20),
    KnownWrong(
        "a4_capstone/follows_the_masked_gradient",
        17,
        ("q3.test_breaks_the_defence",),
        (
            (
                """        rounded = torch.round(moved * defence.levels) / defence.levels
        straight_through = moved + (rounded - moved).detach()
        (gradient,) = torch.autograd.grad(margin(defence.network(straight_through), labels).sum(), moved)
""",
                """        loss = F.cross_entropy(defence(moved), labels)
        (gradient,) = torch.autograd.grad(loss, moved)
""",
            ),
        ),
    ),
    KnownWrong(
        "a4_capstone/cross_entropy_of_scaled_logits",
        17,
        ("q3.test_breaks_the_defence",),
        (
            (
                "margin(defence.network(straight_through), labels).sum(), moved",
                "F.cross_entropy(defence.scale * defence.network(straight_through), labels), moved",
            ),
        ),
    ),
    KnownWrong(
        "a4_capstone/masking_taken_for_robustness",
        17,
        ("q5.test_worst_case_is_over_all_attacks_image_by_image", "q5.test_masking_is_not_robustness"),
        (("worst_case_accuracy = float(right.all(dim=0).float().mean())", "worst_case_accuracy = claimed_accuracy"),),
    ),
    KnownWrong(
        "a4_capstone/maximum_over_all_classes",
        15,
        (
            "q2.test_true_class_is_left_out_of_the_maximum",
            "q2.test_has_a_gradient_where_cross_entropy_has_none",
            "q3.test_breaks_the_defence",
        ),
        (("false = logits.scatter(1, labels.unsqueeze(1), -torch.inf).amax(dim=1)", "false = logits.amax(dim=1)"),),
    ),
    KnownWrong(
        "a4_capstone/small_gradients_counted_as_zero",
        19,
        ("q1.test_a_small_gradient_is_not_zero",),
        (("(gradient.flatten(1) == 0.0).all(dim=1)", "(gradient.flatten(1).norm(dim=1) < 1e-8)"),),
    ),
    KnownWrong(
        "a4_capstone/attack_without_a_seed",
        19,
        ("q3.test_same_seed_same_images",),
        (
            ("    generator = torch.Generator().manual_seed(seed)\n", ""),
            ("torch.rand(images.shape, generator=generator)", "torch.rand(images.shape)"),
        ),
    ),
    KnownWrong(
        "a4_capstone/alarm_with_the_wrong_sign",
        15,
        (
            "q4.test_a_clean_evaluation_raises_none",
            "q4.test_weaker_attacks_that_win",
            "q5.test_masking_is_not_robustness",
        ),
        (('numbers["transfer"] < numbers["pgd"] - 0.02', 'numbers["transfer"] > numbers["pgd"] + 0.02'),),
    ),
    KnownWrong(
        "a4_capstone/careless",
        6,
        (
            "q1.test_an_ordinary_network_has_gradients",
            "q1.test_counts_image_by_image",
            "q2.test_a_misclassified_example_by_hand",
            "q2.test_true_class_is_left_out_of_the_maximum",
            "q2.test_has_a_gradient_where_cross_entropy_has_none",
            "q3.test_keeps_budget_and_range",
            "q3.test_breaks_the_defence",
            "q3.test_leaves_the_defence_alone",
            "q4.test_zero_gradients_and_large_budget",
            "q5.test_has_four_entries_of_the_right_kind",
            "q5.test_masking_is_not_robustness",
        ),
        (
            ("(gradient.flatten(1) == 0.0)", "(gradient.flatten(1) != 0.0)"),
            ("return false - true", "return true - false"),
            (
                "    generator = torch.Generator().manual_seed(seed)\n",
                "    defence.scale = 1.0\n    generator = torch.Generator().manual_seed(seed)\n",
            ),
            (
                "moved = (images + (moved - images).clamp(-epsilon, epsilon)).clamp(0.0, 1.0)",
                "moved = moved.clamp(0.0, 1.0)",
            ),
            ('numbers["zero_gradient_share"] > 0.0', 'numbers["zero_gradient_share"] > 0.5'),
            ("robust = worst_case_accuracy >= 0.5", 'robust = "partly"'),
        ),
    ),
)
"""Submissions that can be graded."""

FAILING = {
    "a1_softmax/endless": ("time limit", ("powers = shifted.exp()", "while True:\n        pass\n    powers = logits")),
    "a2_attacks/eats_the_memory": (
        "memory limit",
        ("EPSILON = 0.05\n", "EPSILON = 0.05\nhoard = []\nwhile True:\n    hoard.append(bytearray(2**25))\n"),
    ),
    "a3_detection/kills_its_process": (
        "crashed",
        ("import math\n", "import math\nimport os\n\nos.kill(os.getpid(), 9)\n"),
    ),
}
"""Submissions that bring themselves down: status, and the one edit that does it."""


def code_cells(assignment: str, built: Path) -> list[str]:
    """The solved code of an assignment, without otter's marks."""
    solved = json.loads((built / "autograder" / f"{assignment}.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in solved["cells"] if cell["cell_type"] == "code"]
    return [
        re.sub(r"  # SOLUTION$|^\s*# (BEGIN|END) SOLUTION\n?", "", cell, flags=re.MULTILINE).rstrip() for cell in cells
    ]


def edited(cells: list[str], edits: tuple[Edit, ...]) -> list[str]:
    """Cells after some edits, each of which has to fit exactly once."""
    for old, new in edits:
        fits = [place for place, cell in enumerate(cells) if old in cell]
        assert len(fits) == 1, f"expected one cell with {old!r}, got {len(fits)}"
        assert cells[fits[0]].count(old) == 1, old
        cells = [cell.replace(old, new) for cell in cells]
    return cells


def notebook(title: str, cells: list[str], assignment: str) -> str:
    """A notebook of code cells without outputs, as JSON."""
    shown: list[dict[str, Any]] = [
        {"cell_type": "markdown", "id": "title", "metadata": {}, "source": [f"# {title.replace('_', ' ')}"]}
    ]
    shown += [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": f"cell-{place:02d}",
            "metadata": {},
            "outputs": [],
            "source": cell.splitlines(keepends=True),
        }
        for place, cell in enumerate(cells)
    ]
    metadata: dict[str, Any] = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    if assignment:
        metadata["otter"] = {"assignment_name": assignment}
    content = {"cells": shown, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def contents(built: Path) -> dict[str, str]:
    """Every file under ``tests/submissions``, path to text, made from the built assignments."""
    files = {}
    for one in GRADED:
        cells = edited(code_cells(one.assignment, built), one.edits)
        files[f"{one.path}.ipynb"] = notebook(one.path, cells, one.assignment)
    for path, (_, edit) in FAILING.items():
        assignment = path.split("/")[0]
        files[f"{path}.ipynb"] = notebook(path, edited(code_cells(assignment, built), (edit,)), assignment)
    for student in sorted((built / "student").glob("*.ipynb")):
        content = json.loads(student.read_text())
        untouched = ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "code"]
        files[f"untouched/{student.name}"] = notebook(f"{student.stem}, nothing done", untouched, "")
    files["a2_attacks/empty.ipynb"] = ""
    files["a3_detection/report.docx"] = "not a notebook\n"
    files["a1_softmax_not_json.ipynb"] = "# Assignment 1\n"
    files["a1_softmax/wrong_folder.ipynb"] = notebook("another assignment", ["print(1)"], "a2_attacks")
    files["homework.ipynb"] = notebook("which assignment", ["print(1)"], "")
    return files


def main() -> None:
    """Write ``tests/submissions`` anew."""
    from drs.classroom.assignments import build

    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        files = contents(Path(folder))
    shutil.rmtree(FOLDER, ignore_errors=True)
    for name, text in files.items():
        (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / name).write_text(text, encoding="utf-8")
    print(f"{len(files)} files in {FOLDER}")


if __name__ == "__main__":
    main()
