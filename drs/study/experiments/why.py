"""When DRS helps: the measurements of :mod:`drs.study.experiments.architectures`, one thing of the training changed."""

from __future__ import annotations

from drs.study.experiments.architectures import run

__all__ = ["run"]
