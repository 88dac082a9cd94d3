"""The figures of the chapters: each function draws a data frame and returns both, as a ``Figured``."""

__all__: list[str] = []
