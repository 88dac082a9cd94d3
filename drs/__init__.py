"""Adversarial robustness and the softmax of the false classes: losses, attacks, detection, honest evaluation.

Importing this package imports nothing heavy; import what you need from its modules, for example
``from drs.losses import drs_loss`` or ``from drs.attacks import PGD``.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("drs")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0+unknown"

__all__ = ["__version__"]
