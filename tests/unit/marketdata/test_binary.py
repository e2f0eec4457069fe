"""The binary form of rows, read back by the rules of PostgreSQL's manual."""

import struct
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.marketdata.store.binary import encode

pytestmark = pytest.mark.unit
MONEY = pa.decimal128(28, 10)
amounts = st.decimals(min_value=-(10**18) + 1, max_value=10**18 - 1, places=10, allow_nan=False, allow_infinity=False)


def rows_of(data: bytes) -> list[list[bytes | None]]:
    assert data[:11] == b"PGCOPY\n\xff\r\n\0"
    place, rows = 19, []
    while (count := struct.unpack_from(">h", data, place)[0]) >= 0:
        place += 2
        row: list[bytes | None] = []
        for _ in range(count):
            (length,) = struct.unpack_from(">i", data, place)
            place += 4
            row.append(data[place : place + length] if length >= 0 else None)
            place += max(length, 0)
        rows.append(row)
    assert data[place:] == b"\xff\xff"
    return rows


def decimal_of(field: bytes) -> Decimal:
    count, weight, sign, _ = struct.unpack_from(">hhHh", field)
    digits = struct.unpack_from(f">{count}h", field, 8)
    assert all(0 <= digit < 10_000 for digit in digits)
    value = sum((Decimal(d) * Decimal(10_000) ** (weight - n) for n, d in enumerate(digits)), Decimal(0))
    return -value if sign == 0x4000 else value


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), amounts), min_size=1, max_size=20))
def test_numerics_are_exact(values: list[Decimal | None]) -> None:
    numbers = pa.array(range(len(values)), pa.int32())
    found = rows_of(b"".join(encode([numbers, pa.array(values, MONEY)])))
    by_number = {struct.unpack(">i", row[0] or b"")[0]: row[1] for row in found}
    assert [None if (f := by_number[n]) is None else decimal_of(f) for n in range(len(values))] == values


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.text(max_size=5)),
            st.datetimes(timezones=st.just(UTC)),
            st.integers(-(2**15), 2**15 - 1),
            st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_texts_times_and_whole_numbers_are_exact(
    given_rows: list[tuple[str | None, datetime, int, int | None]],
) -> None:
    texts, moments, smalls, bigs = (list(column) for column in zip(*given_rows, strict=True))
    columns = [
        pa.array(texts, pa.string()),
        pa.array(moments, pa.timestamp("us", "UTC")),
        pa.array(smalls, pa.int16()),
        pa.array(bigs, pa.int64()),
    ]
    found = []
    for text, moment, small, big in rows_of(b"".join(encode(columns))):
        since = timedelta(microseconds=struct.unpack(">q", moment or b"")[0])
        found.append(
            (
                None if text is None else text.decode(),
                datetime(2000, 1, 1, tzinfo=UTC) + since,
                struct.unpack(">h", small or b"")[0],
                None if big is None else struct.unpack(">q", big)[0],
            )
        )
    assert sorted(found, key=repr) == sorted(given_rows, key=repr)


def test_slices_of_columns_are_what_they_show() -> None:
    texts = pa.array(["a", "bb", "ccc", "dddd"]).slice(1, 2)
    amounts_ = pa.array([Decimal(1), Decimal("-2.5"), None, Decimal(4)], MONEY).slice(1, 2)
    found = rows_of(b"".join(encode([texts, amounts_])))
    assert [row[0] for row in found] == [b"bb", b"ccc"] or [row[0] for row in found] == [b"ccc", b"bb"]
    by_text = {row[0]: row[1] for row in found}
    assert by_text[b"ccc"] is None
    assert decimal_of(by_text[b"bb"] or b"") == Decimal("-2.5")


def test_no_rows() -> None:
    assert rows_of(b"".join(encode([pa.array([], pa.string())]))) == []
    assert rows_of(b"".join(encode([pa.array([], pa.int16())]))) == []
