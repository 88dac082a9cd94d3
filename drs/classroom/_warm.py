"""What every submission loads, imported once by the server that forks their processes: each then starts in no time."""

from __future__ import annotations

import threading

import foolbox  # noqa: F401
import torch
from tqdm import tqdm

torch.set_num_threads(1)  # before the first operation: a forked process must not inherit a pool of threads

tqdm.set_lock(threading.RLock())  # its own one is a semaphore that a killed process would leave behind

import drs.attacks  # noqa: E402
import drs.classroom._worker  # noqa: E402, F401
from drs.study.checkpoints import cached_dataset  # noqa: E402

cached_dataset("mnist5k")
torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)  # the first optimizer loads a third of torch
