"""Write judged rows where they belong."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from psycopg.errors import CheckViolation
from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata import store
from services.marketdata.store import Origin, Partitions, SeriesTable, Written
from shared.problems import DependencyUnavailable


async def write(
    session: AsyncSession,
    partitions: Partitions,
    table: SeriesTable,
    origin: Origin,
    rows: pa.Table,
    severities: npt.NDArray[np.int16],
    issues: Mapping[int, str],
) -> Written:
    """Store rows of distinct keys, whose partitions are there.

    Raises DependencyUnavailable where one was removed in the meantime, by a process that keeps rows for less long.
    """
    try:
        return await store.put_rows(session, table, origin, rows, severities, issues)
    except CheckViolation:
        partitions.forget()
        raise DependencyUnavailable(
            "A partition was removed meanwhile; nothing was stored, send the same again", headers={"Retry-After": "1"}
        ) from None
