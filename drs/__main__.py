"""``python -m drs`` is the same command as ``drs``."""

from drs.cli import main

main()
