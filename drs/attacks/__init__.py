"""Attacks: one object a method, one front door, success judged in one place (:mod:`drs.attacks.base`)."""

from drs.attacks.adaptive import JointPGD, OrthogonalPGD, SelectivePGD
from drs.attacks.base import Adversarials, Attack
from drs.attacks.carlini_wagner import CarliniWagnerL2, WarmStartCarliniWagnerL2
from drs.attacks.jsma import JSMA
from drs.attacks.minimal import DDN, DeepFool
from drs.attacks.sign import BIM, FGSM, ILCM, PGD, TargetedPGD, UniformNoise
from drs.attacks.square import Square
from drs.attacks.white_box import WhiteBoxCarliniWagner, f2

__all__ = [
    "BIM",
    "DDN",
    "FGSM",
    "ILCM",
    "JSMA",
    "PGD",
    "Adversarials",
    "Attack",
    "CarliniWagnerL2",
    "DeepFool",
    "JointPGD",
    "OrthogonalPGD",
    "SelectivePGD",
    "Square",
    "TargetedPGD",
    "UniformNoise",
    "WarmStartCarliniWagnerL2",
    "WhiteBoxCarliniWagner",
    "f2",
]
