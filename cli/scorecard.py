"""Write docs/quality-scorecard.md from the fault corpus, or check that it is current."""

from collections.abc import Iterator, Mapping
from typing import Any

import typer

from benchmarks.corpus.case import Score, Suite, judged, score
from benchmarks.corpus.nse import NAME, kept_counts
from benchmarks.corpus.suites import SUITES
from cli.generated import Check, keep_current
from cli.paths import ROOT

_PATH = ROOT / "docs" / "quality-scorecard.md"
_INTRODUCTION = """# How well the quality checks do

Each check is held against labelled cases: real data and made data, with faults put in and without. The label says what
was done to the data, not what the check measures, so a fault can be too small to be found, and what is sound can look
broken. Sizes lie on both sides of the bands. Among the sound cases are illiquid corners, wide openings, expiry days,
stale last prices, carry of every kind, quotes of different moments, crashes, gaps after news, minutes without a trade,
half days, holidays, lunch breaks, the change to summer time, coarse steps of price, and networks that waver.

Each case is judged by the code that judges what the service takes in. Precision is the share of alarms that were right,
over **all** cases of a table: also those made for other checks, where only what follows from their fault is tolerated.
Recall is the share of faults that were found. `sound` counts the cases made for the check in which nothing is wrong.
The bands are the defaults of the catalogue.

What no check can know by itself is counted as wrong all the same: that a jump was news, that a quiet share does not
trade, that a fault of half a band is one. So a low share is not always one to mend; what is behind it is named.

The cases are code in `benchmarks/corpus`, drawn with fixed seeds. The real ones among them are the data bundled in
`data/sample`, with their sources and licences named there. This page is made by `keelson scorecard`; change the code,
not this page.
"""
_REAL = """## The real chains

{snapshots} snapshots of the NSE's NIFTY chain of October and November 2025, {in_session} of them in session, judged
one after the other as on the day. The file may not be published: kept are these counts, in
`benchmarks/corpus/nse_counts.json`, which a test measures again where the file is. The labels come from plain Python
over its text, which shares no code with the checks.

| check | labelled | found | missed | false | warning | critical |
|---|--:|--:|--:|--:|--:|--:|
"""
_TOTALS = """
Checks that are not in this table found nothing there, and there was nothing to find.

- {polls_the_same} snapshots repeat the one before to the byte, nearly all while the market was closed, two holidays
  among them. Those are `outside_session`; in session only the empty ones of the first day are stale.
- The last price is 0 on {last_zero:.0%} of {legs:,} contracts and the volatility on {volatility_zero:.0%}: contracts
  that never traded, or last traded below their intrinsic value. In eight snapshots it is gone from much or all of what
  trades near the money, and that is the finding.
- Open interest is not whole on {interest_not_whole:,} contracts, in every snapshot that has a chain, and in thirds on
  {interest_in_thirds:,} of them: in far expiries, listed when the lot was 25 and not 75, restated in new lots. That is
  how the venue counts, and no finding; a number among them that is not in thirds would be one.
- No quote is crossed. {calls:,} calls are listed and {puts:,} puts, in balance near the money.

| across strikes, in session | compared | contradict at all | by more than is tolerated |
|---|--:|--:|--:|
| put-call parity | {put_call_parity_compared:,} | {put_call_parity_strictly:.2%} | {put_call_parity:.2%} |
| monotony | {strike_monotony_compared:,} | {strike_monotony_strictly:.2%} | {strike_monotony:.2%} |
| butterflies | {butterfly_compared:,} | {butterfly_strictly:.2%} | {butterfly:.2%} |

Tolerated are a basis point of the spot for parity, which spans two books, and one step of price for the others. Who
takes the median of the mids for the forward and 6.5 % for the rate finds {put_call_parity_by_median_of_mids:.2%} of
strikes broken by more than a basis point. Most of that is the guess: with one forward an expiry and one rate a
snapshot, both taken from the chain, all but {put_call_parity:.2%} agree. The check lets the rate differ by two points
between expiries.
"""


def render() -> str:
    """Return the page."""
    parts = [_INTRODUCTION]
    for suite in SUITES:
        parts.append(_suite(suite))
    parts.append(_real(kept_counts()))
    return "\n".join(parts)


def _suite(suite: Suite[Any]) -> str:
    outcomes = list(judged(suite))
    scores = {code: one for code, one in score(outcomes, suite.checks).items() if one.origins or one.false_alarms}
    lines = [f"## {suite.title}\n", f"{len(outcomes):,} cases.\n"]
    lines += ["| check | faults | sound | precision | recall | cases from |", "|---|--:|--:|--:|--:|---|"]
    lines += [_row(code, one) for code, one in scores.items()]
    lines += ["", *_mistakes(scores)]
    return "\n".join(lines)


def _row(code: str, one: Score) -> str:
    origins = ", ".join(f"{number} {origin}" for origin, number in sorted(one.origins.items(), reverse=True))
    shares = " | ".join("-" if share is None else f"{share:.3f}" for share in (one.precision, one.recall))
    return f"| `{code}` | {one.found + one.missed} | {one.sound} | {shares} | {origins} |"


def _mistakes(scores: Mapping[str, Score]) -> Iterator[str]:
    yield "### What they get wrong\n"
    for code, one in scores.items():
        for what, titles in (("misses", one.misses), ("cries at", one.alarms)):
            if titles:
                listed = "; ".join(f"{title} ({number})" for title, number in sorted(titles.items()))
                yield f"- `{code}` {what}: {listed}."
    yield ""


def _real(counts: Mapping[str, Any]) -> str:
    totals = dict(counts["totals"])
    for code in ("put_call_parity", "strike_monotony", "butterfly"):
        for name in [name for name in totals if name.startswith(code) and not name.endswith("_compared")]:
            totals[name] /= totals[f"{code}_compared"]
    for name in ("last_zero", "volatility_zero"):
        totals[name] /= totals["legs"]
    text = _REAL.format(snapshots=counts["snapshots"], **totals)
    for code, found in counts["checks"].items():
        if found:
            right, missed, false = (found.get(name, 0) for name in ("found", "missed", "false"))
            severities = f"{found.get('warning', 0)} | {found.get('critical', 0)}"
            text += f"| `{code}` | {right + missed} | {right} | {missed} | {false} | {severities} |\n"
    return text + _TOTALS.format(**totals) + f"\nThe file: `{NAME}`.\n"


def scorecard(check: Check = False) -> None:
    """Write docs/quality-scorecard.md from the fault corpus."""
    keep_current({_PATH: render()}, check)


if __name__ == "__main__":
    typer.run(scorecard)
