"""The real NSE chains, which may not be published: only counts of what the checks find in them are kept."""

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from benchmarks.corpus.judging import STATE_CHECKS
from benchmarks.corpus.nse_plain import Plain, in_session, plain_snapshots
from services.marketdata.core.chain.arrays import arrays_of
from services.marketdata.core.chain.context import EarlierState, StateContext, content_hash, following
from services.marketdata.core.chain.judge import judge_state
from services.marketdata.core.chain.quotes import relative_spread
from services.marketdata.core.finding import severity_of
from services.marketdata.core.thresholds import of_symbol
from services.marketdata.formats.nse_chain import read_chains
from shared.schemas.marketdata import MarketState

NAME = "nse_nifty_option_chain_2025-10-13_2025-11-14.csv.gz"
# Beside the repository, where there is one.
FOLDER = Path(__file__).parents[3] / "shared" / "data"
KEPT = Path(__file__).with_name("nse_counts.json")


def kept_counts() -> dict[str, Any]:
    """Return the counts as they were last measured."""
    counts: dict[str, Any] = json.loads(KEPT.read_text(encoding="utf-8"))
    return counts


def measure(path: Path) -> dict[str, Any]:
    """Judge every snapshot as it would have been judged on the day, and hold the findings against the plain labels."""
    checks: dict[str, Counter[str]] = {code: Counter() for code in STATE_CHECKS}
    totals: Counter[str] = Counter()
    judge = _Judge()
    number = 0
    reported: list[str] = []
    states = read_chains([path], symbol="NIFTY", report=lambda bad: reported.append(bad.reason))
    for state, plain in zip(states, plain_snapshots(path), strict=True):
        found = judge.findings(state)
        number += 1
        totals["in_session"] += plain.is_open
        totals.update(plain.counts)
        _count(checks, found, plain)
    return {
        "snapshots": number,
        "rows_reported": sum("the underlying is" in reason for reason in reported),
        "rows_reported_otherwise": sum("the underlying is" not in reason for reason in reported),
        "totals": dict(sorted(totals.items())),
        "checks": {code: dict(sorted(counts.items())) for code, counts in checks.items()},
    }


def _count(checks: dict[str, Counter[str]], found: dict[str, str], plain: Plain) -> None:
    for code, counts in checks.items():
        if code in found:
            counts[found[code]] += 1
        if code in found or code in plain.labels:
            kind = "found" if code in found and code in plain.labels else "missed" if code in plain.labels else "false"
            counts[kind] += 1


class _Judge:
    """Judges states in their order, with what is known of those before."""

    def __init__(self) -> None:
        self._earlier: EarlierState | None = None
        self._spreads: dict[object, list[float]] = defaultdict(list)

    def findings(self, state: MarketState) -> dict[str, str]:
        assert state.timestamp is not None
        spreads = sorted(self._spreads[state.timestamp.date()])
        is_open = in_session(state.timestamp)
        context = StateContext(
            content_hash=content_hash(state),
            earlier=self._earlier,
            session_open=is_open,
            median_spread=spreads[len(spreads) // 2] if spreads else None,
            thresholds=of_symbol(state.symbol),
        )
        issues = judge_state(state, context)
        self._earlier = following(state, context, severity_of(issues))
        if state.spot_price and is_open:
            spread = relative_spread(arrays_of(state.option_chain or [], float(state.spot_price)))
            if spread is not None:
                self._spreads[state.timestamp.date()].append(spread)
        return {issue.code: issue.severity.value for issue in issues}


def main() -> None:
    """Measure anew and keep the counts."""
    KEPT.write_text(json.dumps(measure(FOLDER / NAME), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
