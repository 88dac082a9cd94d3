"""Data sets, models and the one training loop. Import from its modules: datasets, models, loop."""

__all__: list[str] = []
