"""What a call raises where it gives no answer. A denied order is an answer."""

from typing import Any


class Refused(Exception):
    """The service answered with a problem: the request is wrong, or the caller may not make it."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(f"{status} {problem.get('title', '')}: {problem.get('detail', '')}")
        self.status = status
        self.problem = problem


class Unavailable(Exception):
    """Nobody decided, or nobody said so in time. What became of the request is unknown; sending it again is safe."""
