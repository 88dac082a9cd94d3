"""What a reader sees, written from records: chapters, figures, tables, the report and the front page."""

__all__: list[str] = []
