"""Whole streams of rows: whether they come, at what pace, in what order, and whether sources agree."""
