"""Where the symbols of a dataset are traded: told to marketdata before the first row, as rows are judged by it."""

from cli.client import Api
from services.marketdata.formats.dataset import AnyRecord, Dataset
from shared.schemas.quality import StoredSymbolProfile, SymbolProfile


def say_where_traded(api: Api, dataset: Dataset[AnyRecord]) -> str | None:
    """Set the calendar of a dataset's symbol unless somebody has; return what to tell where that one is another."""
    if dataset.calendar is None:
        return None
    path = f"/api/v1/marketdata/symbols/{dataset.symbol}"
    known = api.get(path, StoredSymbolProfile)
    if known.set_by is None:
        api.send("PUT", path, StoredSymbolProfile, SymbolProfile(calendar=dataset.calendar))
    elif known.calendar != dataset.calendar:
        return (
            f"{dataset.symbol} keeps the calendar {known.calendar}, which {known.set_by} set; "
            f"{dataset.name} is of {dataset.calendar}"
        )
    return None
