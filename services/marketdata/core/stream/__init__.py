"""Judge the messages of a venue's live stream, one at a time as they come."""
