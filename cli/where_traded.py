"""Where the symbols of a dataset are traded, and how far they move in a day: rows are judged by it."""

from cli.client import Api
from services.marketdata.formats.dataset import AnyRecord, Dataset
from shared.schemas.quality import StoredSymbolProfile, SymbolProfile


def say_where_traded(api: Api, dataset: Dataset[AnyRecord]) -> str | None:
    """Set the profile of a dataset's symbol unless somebody has; return what to tell where its calendar is another."""
    if dataset.calendar is None:
        return None
    path = f"/api/v1/marketdata/symbols/{dataset.symbol}"
    known = api.get(path, StoredSymbolProfile)
    if known.set_by is None:
        profile = SymbolProfile(calendar=dataset.calendar, price_limit=dataset.price_limit)
        api.send("PUT", path, StoredSymbolProfile, profile)
    elif known.calendar != dataset.calendar:
        return (
            f"{dataset.symbol} keeps the calendar {known.calendar}, which {known.set_by} set; "
            f"{dataset.name} is of {dataset.calendar}"
        )
    return None
