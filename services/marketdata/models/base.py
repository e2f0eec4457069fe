"""What all tables of marketdata share."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from sqlalchemy import BigInteger, Integer, Numeric, SmallInteger, Text
from sqlalchemy.orm import DeclarativeBase, mapped_column

from shared.database import MONEY, TIMESTAMP, schema_metadata

metadata = schema_metadata("marketdata")

# Keys are compared byte by byte: the same order as in Python, and no locale's rules for each comparison.
NAME = Text(collation="C")
Key = Annotated[str, mapped_column(NAME, primary_key=True)]
KeyTime = Annotated[datetime, mapped_column(primary_key=True)]
Small = Annotated[int, mapped_column(SmallInteger)]
Big = Annotated[int, mapped_column(BigInteger)]
# A sum has as many digits as it needs.
Sum = Annotated[Decimal, mapped_column(Numeric)]


class Base(DeclarativeBase):
    """Base of the tables; `scope` is the simulation, or empty for live data."""

    metadata = metadata
    type_annotation_map = {datetime: TIMESTAMP, str: Text, Decimal: MONEY, int: Integer}
