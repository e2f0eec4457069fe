"""How long a chain of some 790 strikes takes to judge, against parsing the same chain.

Run with `python -m benchmarks.chain`. The calls take turns over several chains, so that a machine that slows down slows
all of them, and none is measured on numbers that are still at hand from the call before.
"""

import json
import time
from collections.abc import Callable
from itertools import islice
from statistics import median, quantiles

import numpy as np

from benchmarks.corpus.market import Market, make
from benchmarks.corpus.nse import FOLDER, NAME
from services.marketdata.core.chain.arrays import arrays_of
from services.marketdata.core.chain.context import StateContext, content_hash
from services.marketdata.core.chain.judge import judge_state
from services.marketdata.formats.nse_chain import read_chains
from shared.schemas.marketdata import MarketState

_CHAINS = 8
_ROUNDS = 25
# As many strikes an expiry and as many expiries as the NSE's NIFTY has, and both legs of each.
_MARKET = Market("a whole chain", step=75.0, days=(1, 8, 15, 22, 29, 60, 88, 180, 360))
_CONTEXT = StateContext("content", session_open=True)
_BASE = "json.loads"


def main() -> None:
    """Measure and print."""
    _report("made chains", [make(_MARKET, np.random.default_rng(seed)).state() for seed in range(_CHAINS)])
    path = FOLDER / NAME
    if not path.exists():
        print(f"real chains: {path} is not here")
        return
    # After the empty ones of the first morning, in a week of some 790 strikes.
    states = read_chains([path], symbol="NIFTY", report=lambda bad: None)
    _report("real chains", list(islice((s for s in states if len(s.option_chain or []) > 1_400), _CHAINS)))


def _report(title: str, states: list[MarketState]) -> None:
    sent = [state.model_dump_json() for state in states]
    parsed = [MarketState.model_validate_json(text) for text in sent]
    calls: dict[str, Callable[[int], object]] = {
        _BASE: lambda i: json.loads(sent[i]),
        "model_validate_json": lambda i: MarketState.model_validate_json(sent[i]),
        "content_hash": lambda i: content_hash(parsed[i]),
        "judge_state": lambda i: judge_state(parsed[i], _CONTEXT),
        "  its arrays alone": lambda i: arrays_of(parsed[i].option_chain or [], float(parsed[i].spot_price or 0)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(_ROUNDS * len(states)):
        for name, call in calls.items():
            start = time.perf_counter()
            call(number % len(states))
            seconds[name].append(time.perf_counter() - start)
    legs = [len(state.option_chain or []) for state in states]
    strikes = [len({(q.expiry, q.strike) for q in state.option_chain or []}) for state in states]
    print(f"{title}: {median(strikes):.0f} strikes, {median(legs):.0f} contracts")
    base = median(seconds[_BASE])
    for name, spent in seconds.items():
        cuts = quantiles(spent, n=100)
        print(
            f"{name:<22} least {min(spent) * 1e3:6.2f} ms   p50 {cuts[49] * 1e3:6.2f} ms   "
            f"p95 {cuts[94] * 1e3:6.2f} ms   {median(spent) / base:6.2f} x {_BASE}"
        )


if __name__ == "__main__":
    main()
