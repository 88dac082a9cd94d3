"""Attacks: one class per method, one front door, success judged in one place (:mod:`drs.attacks.base`).

Standard is the strong call without a choice to make: a union of APGD, its targeted form and Square (DDN in L2).
Within an L-inf budget: FGSM, BIM, ILCM, PGD, TargetedPGD, Square, UniformNoise as the control, and SelectivePGD,
OrthogonalPGD and JointPGD against a detector as well. Smallest L2: DDN, DeepFool, CarliniWagnerL2, and
WhiteBoxCarliniWagner against the K-density detector. Few pixels: JSMA. Experiments and curves use them all.
"""

from drs.attacks.adaptive import JointPGD, OrthogonalPGD, SelectivePGD
from drs.attacks.apgd import APGD
from drs.attacks.base import Adversarials, Attack
from drs.attacks.carlini_wagner import CarliniWagnerL2
from drs.attacks.jsma import JSMA
from drs.attacks.minimal import DDN, DeepFool
from drs.attacks.noise import UniformNoise
from drs.attacks.objectives import OBJECTIVES, margin
from drs.attacks.sign import BIM, FGSM, ILCM, PGD, TargetedPGD
from drs.attacks.square import Square
from drs.attacks.standard import Standard, Union
from drs.attacks.white_box import WhiteBoxCarliniWagner, f2

__all__ = [
    "APGD",
    "BIM",
    "DDN",
    "FGSM",
    "ILCM",
    "JSMA",
    "OBJECTIVES",
    "PGD",
    "Adversarials",
    "Attack",
    "CarliniWagnerL2",
    "DeepFool",
    "JointPGD",
    "OrthogonalPGD",
    "SelectivePGD",
    "Square",
    "Standard",
    "TargetedPGD",
    "UniformNoise",
    "Union",
    "WhiteBoxCarliniWagner",
    "f2",
    "margin",
]
