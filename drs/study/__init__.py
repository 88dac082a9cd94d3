"""What was run and what it shows: profiles, plans, records, experiments, claims. Reads the method, not the pages."""

__all__: list[str] = []
