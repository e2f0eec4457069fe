"""Records of plain fields as lists, in the order in which their class names them."""

from collections.abc import Callable
from dataclasses import fields
from datetime import date
from operator import attrgetter
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Fields(Generic[T]):
    """Write a dataclass of numbers, texts and enumerations as a list; `convert` makes of a value what it was."""

    def __init__(
        self, kind: type[T], *, without: frozenset[str] = frozenset(), **convert: Callable[[Any], Any]
    ) -> None:
        self.names = tuple(each.name for each in fields(kind) if each.init and each.name not in without)  # type: ignore[arg-type]  # it is a dataclass
        self._kind = kind
        self._values = attrgetter(*self.names)
        self._convert = [(self.names.index(name), function) for name, function in convert.items()]

    def write(self, record: T) -> list[Any]:
        """Return the values of a record, a date as its text."""
        return [each.isoformat() if type(each) is date else each for each in self._values(record)]

    def read(self, values: list[Any], **others: Any) -> T:
        """Return the record of values, and of the fields that are not among them."""
        for index, function in self._convert:
            if values[index] is not None:
                values[index] = function(values[index])
        return self._kind(**dict(zip(self.names, values, strict=True)), **others)
