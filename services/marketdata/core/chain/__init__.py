"""Judge market states: an underlying and its option chain at one moment."""
