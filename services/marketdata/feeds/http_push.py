"""A source that posts to our ingest routes itself: it is watched by what came of it, and asked for nothing."""

from collections.abc import Sequence

from services.marketdata.feeds.connector import Poll, Stream, WithoutHistory


class HttpPushConnector(WithoutHistory):
    """Stands for a source that pushes; its calls are reported by whoever makes them (`POST /feeds/{name}/calls`)."""

    def __init__(self, name: str) -> None:
        self.name = name

    def jobs(self) -> Sequence[Poll | Stream]:
        """Return nothing to do."""
        return ()
