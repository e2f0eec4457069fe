"""What tests of metrics share: a value as it is exported, and how work of the background is seen to be done."""

from prometheus_client import REGISTRY

from services.marketdata.metrics import WORKED


def metric(name: str, **labels: str) -> float | None:
    """Return a sample's value, None where it is not exported."""
    return REGISTRY.get_sample_value(name, labels)


def done(work: str) -> bool:
    """Return whether a work was done since `forget`."""
    return (metric("marketdata_work_timestamp_seconds", work=work) or 0) > 0


def forget(*works: str) -> None:
    """Have works look as if they had never been done."""
    for work in works:
        WORKED.labels(work).set(0)
