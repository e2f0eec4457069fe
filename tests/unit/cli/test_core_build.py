"""Constructors written out for the compiler are those Python makes."""

from inspect import signature

import pytest

from cli.core_build import CORE, modules, with_constructors
from cli.paths import ROOT

pytestmark = pytest.mark.unit

SOURCE = '''
from dataclasses import dataclass, field

@dataclass(slots=True)
class Plain:
    """With a field that has a default, and a method."""

    first: int
    # Said of the second.
    second: str = "a"

    @property
    def both(self) -> str:
        return f"{self.first}{self.second}"

@dataclass(frozen=True, slots=True)
class Frozen:
    first: int

@dataclass(slots=True)
class Made:
    first: list[int] = field(default_factory=list)

'''


def test_a_constructor_takes_the_place_of_a_blank_line() -> None:
    lines, written = SOURCE.split("\n"), with_constructors(SOURCE).split("\n")
    assert len(written) == len(lines)
    changed = [(old, new) for old, new in zip(lines, written, strict=True) if old != new]
    expected = "    def __init__(self, first: int, second: str = 'a') -> None: self.first = first; self.second = second"
    assert changed == [("", expected)]


def test_what_is_written_makes_what_python_makes() -> None:
    plain, written = ({"__name__": "made"} for _ in range(2))
    exec(SOURCE, plain)
    exec(with_constructors(SOURCE), written)
    for arguments in ((1,), (1, "b")):
        assert repr(plain["Plain"](*arguments)) == repr(written["Plain"](*arguments))
    assert signature(plain["Plain"]).parameters.keys() == signature(written["Plain"]).parameters.keys()
    with pytest.raises(TypeError):
        written["Plain"]()


def test_every_module_of_the_core_keeps_its_lines() -> None:
    for path in modules(ROOT / CORE):
        source = path.read_text()
        assert with_constructors(source).count("\n") == source.count("\n")
