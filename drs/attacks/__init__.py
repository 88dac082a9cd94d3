"""Attacks: one object a method, one front door, success judged in one place (:mod:`drs.attacks.base`)."""

from drs.attacks.base import Adversarials, Attack
from drs.attacks.gradient import BIM, FGSM, ILCM, PGD, TargetedPGD, UniformNoise

__all__ = ["BIM", "FGSM", "ILCM", "PGD", "Adversarials", "Attack", "TargetedPGD", "UniformNoise"]
