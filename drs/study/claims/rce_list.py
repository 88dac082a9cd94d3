"""The list of claims judged by :mod:`drs.study.claims.rce_paper`, in the order of the book."""

from __future__ import annotations

from drs.study.claims import rce_paper as rules
from drs.study.claims.base import Claim, Quote

SHARED_ATTACKS = (
    "The first version averaged, for each network, over the attacks that succeeded on that network, so that networks "
    "were compared over different attacks: C&W-hc, which is easy to detect or never succeeds, counted for some only. "
    "Since then an attack counts if it succeeds on every network of both losses. The records known when this was "
    "mended turn C4 from undecided to not reproduced by it and leave B3b as it was."
)
SEEDS = "the 95% t interval over seeds of the paired difference (RCE minus CE)"


def _quotes(table: str, column: str, **where: str) -> tuple[Quote, ...]:
    """One number of the paper for CE and one for RCE."""
    return tuple(Quote(table, column, {"objective": loss, **where}) for loss in rules.LOSSES)


CLAIMS = (
    Claim(
        "B0",
        rules.RCE,
        "The difference between false classes falls with the square of the training error under RCE, with its first "
        "power under CE and label smoothing.",
        "Theorem: O(alpha^2) against O(alpha)",
        "exponent under RCE",
        "Reproduced if the fitted exponents of the largest false-class difference in alpha, over random errors of "
        "sup norm 1e-5 to 1e-2, are within 0.1 of 2 (RCE), 1 (CE) and 1 (label smoothing); else not.",
        "theory",
        "notebooks/06_reverse_training",
        rules.judge_theory,
        counts="draws",
    ),
    Claim(
        "B1",
        rules.RCE,
        "RCE networks are as accurate on clean data as CE networks.",
        "Table 1, MNIST, ResNet-32, error in percent: CE {}, RCE {}",
        "clean error in percent, RCE minus CE",
        f"Reproduced if {SEEDS} in clean error lies below half a percentage point; undecided if it straddles it.",
        "detection",
        "notebooks/06_reverse_training",
        rules.judge_error,
        _quotes("rce_table1_error", "error_percent", model="resnet32", dataset="mnist"),
    ),
    Claim(
        "B2",
        rules.RCE,
        "Without the test, RCE networks are more accurate under FGSM, BIM, ILCM and JSMA at every epsilon, and C&W and "
        "C&W-hc need larger distortions.",
        "Figure 2",
        "share of (attack, epsilon) cells where RCE is more accurate",
        "Reproduced if RCE's mean accuracy over seeds is above CE's in at least 95% of the cells and the mean "
        "distortion of C&W and of C&W-hc is larger; partly if it is above in more than half of them.",
        "detection",
        "notebooks/07_robustness",
        rules.judge_accuracy,
        counts="cells",
    ),
    Claim(
        "B3a",
        rules.RCE,
        "RCE with K-density has the best AUC in almost all cases.",
        "Table 2, MNIST, BIM, AUC of K-density in percent: CE {}, RCE {}",
        "share of attacks where it is best",
        "Over FGSM, BIM, ILCM, JSMA at epsilon 0.1, C&W and C&W-hc: reproduced if the mean AUC of RCE with K-density "
        "is within 0.005 of the best of CE and RCE with any metric under at least five of six; partly under three.",
        "detection",
        "notebooks/08_detection",
        rules.judge_best,
        _quotes("rce_table2_auc", "k_density", attack="bim", dataset="mnist"),
        counts="attacks",
    ),
    Claim(
        "B3b",
        rules.RCE,
        "Non-ME itself becomes a reliable metric under RCE.",
        "Table 2, MNIST, FGSM, AUC of non-ME in percent: CE {}, RCE {}",
        "AUC of non-ME, mean over attacks, RCE minus CE",
        f"Reproduced if {SEEDS} in non-ME's AUC, mean over those of the six attacks of B3a that succeed on "
        "every network of both, lies above 0; undecided if it straddles 0.",
        "detection",
        "notebooks/08_detection",
        rules.judge_non_me,
        _quotes("rce_table2_auc", "non_me", attack="fgsm", dataset="mnist"),
        mended=SHARED_ATTACKS,
    ),
    Claim(
        "B4",
        rules.RCE,
        "The white-box attack C&W-wb needs much larger distortions on RCE networks, and most of its examples keep "
        "f2 > 0: they stay less dense than the median training example of their class.",
        "Table 3, MNIST, share with f2 > 0: CE {}, RCE {}; distortion: CE {}, RCE {}",
        "share with f2 > 0, RCE minus CE",
        f"Reproduced if {SEEDS} lies above 0 both in the share of successful examples with f2 > 0 and in their mean "
        "distortion; partly if in one of them.",
        "whitebox",
        "notebooks/09_white_box",
        rules.judge_white_box,
        _quotes("rce_table3_whitebox", "ratio_f2_positive", dataset="mnist")
        + _quotes("rce_table3_whitebox", "minimal_distortion", dataset="mnist"),
    ),
    Claim(
        "B5",
        rules.RCE,
        "White-box examples transfer badly: on an unknown network K-density still finds them, best on RCE.",
        "Table 4, CIFAR-10, AUC of K-density in percent: CE to CE {}, RCE to RCE {}",
        "AUC of K-density on transferred examples, RCE target minus CE target",
        "Reproduced if the 95% t interval over seeds of the paired difference in K-density's AUC on transferred "
        "C&W-wb examples (RCE target minus CE target, mean over CE and RCE substitutes) lies above 0; undecided if it "
        "straddles 0.",
        "whitebox",
        "notebooks/10_black_box",
        rules.judge_transfer,
        tuple(
            Quote("rce_table4_blackbox_auc", "k_density_auc", {"substitute_resnet32": loss, "target_resnet56": loss})
            for loss in rules.LOSSES
        ),
    ),
    Claim(
        "B6",
        rules.RCE,
        "A white-box attack on the detector costs over a thousand times what FGSM costs an example.",
        "Table 5, seconds an example: FGSM on CE {}, on RCE {}; C&W-wb on CE {}, on RCE {}",
        "seconds per example of C&W-wb over FGSM, RCE",
        "Reproduced if C&W-wb takes at least 1,000 times as long per example as FGSM on RCE networks, mean over seeds; "
        "else not.",
        "whitebox",
        "notebooks/09_white_box",
        rules.judge_time,
        _quotes("rce_table5_seconds_per_example", "seconds", attack="fgsm")
        + _quotes("rce_table5_seconds_per_example", "seconds", attack="cw_wb"),
    ),
    Claim(
        "B7",
        rules.RCE,
        "High-confidence C&W-wb (kappa = 5) cannot make its examples look normal.",
        "Table 6, from memory: every example keeps f2 > 0; the published code cannot succeed at that margin",
        "share with f2 > 0 at kappa = 5, RCE",
        "Reproduced if at least 95% of the examples that reach the margin of 5 on RCE networks keep f2 > 0, mean over "
        "seeds; else not.",
        "whitebox",
        "notebooks/09_white_box",
        rules.judge_high_confidence,
    ),
    Claim(
        "B8",
        rules.RCE,
        "RCE features are compact, separate clusters.",
        "Figure 1 (t-SNE)",
        "silhouette of the final hidden vectors, RCE minus CE",
        f"Reproduced if {SEEDS} in the silhouette coefficient of the features by true label lies above 0; undecided if "
        "it straddles 0.",
        "detection",
        "notebooks/06_reverse_training",
        rules.judge_clusters,
    ),
    Claim(
        "B9",
        rules.RCE,
        "The detector tells random noise from attacks.",
        "Figures 4, 5 and 6",
        "share rejected at 5% false rejection, attacks minus noise, RCE with K-density",
        "Reproduced if the 95% t interval over seeds of the difference between the share of adversarial examples "
        "(FGSM, BIM, ILCM, JSMA at epsilon 0.1) and of uniformly noisy images (same epsilon) that K-density rejects on "
        "RCE networks lies above 0.5; undecided if it straddles 0.5.",
        "detection",
        "notebooks/08_detection",
        rules.judge_noise,
    ),
    Claim(
        "B10",
        rules.RCE,
        "Over the constants c of C&W, RCE networks stay more accurate on average.",
        "Figure 7",
        "accuracy, mean over the constants, RCE minus CE",
        f"Reproduced if {SEEDS} in accuracy, mean over c from 0.001 to 1000, lies above 0; undecided if it "
        "straddles 0.",
        "constant",
        "notebooks/07_robustness",
        rules.judge_constant,
    ),
    Claim(
        "C4",
        "ours, the cross of the two papers",
        "Networks trained with the DRS loss are better protected by the thresholding test than CE networks.",
        "",
        "AUC of K-density, mean over attacks, DRS minus CE",
        "Reproduced if the 95% t interval over seeds of the paired difference (DRS minus CE) in K-density's AUC, mean "
        "over those of the six attacks of B3a that succeed on every network of both, lies above 0; undecided if it "
        "straddles 0.",
        "detection",
        "notebooks/11_one_family",
        rules.judge_cross,
        mended=SHARED_ATTACKS,
    ),
    Claim(
        "C5",
        "ours",
        "The thresholding test on an RCE network withstands an attacker who knows it.",
        "",
        "undetected successes of the best adaptive attack, RCE, best metric",
        "Reproduced if the 95% t interval over seeds lies below 0.1, of the share of images that are misclassified and "
        "accepted at 5% false rejection, under the worst of selective, orthogonal and joint PGD at epsilon 0.1, for "
        "the metric where that share is smallest; undecided if it straddles 0.1.",
        "whitebox",
        "notebooks/09_white_box",
        rules.judge_adaptive,
    ),
)
