"""The corpus itself: what is in it, how the checks do on it, and the page that says so."""

from collections import Counter
from datetime import timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from benchmarks.corpus.case import Case, Score, judged, score
from benchmarks.corpus.judging import STATE_CHECKS
from benchmarks.corpus.market import MARKETS, make
from benchmarks.corpus.nse import FOLDER, NAME, kept_counts, measure
from benchmarks.corpus.suites import SUITES
from cli import scorecard
from cli.paths import ROOT
from services.marketdata.core.chain.context import StateContext
from services.marketdata.core.chain.judge import judge_state
from services.marketdata.formats.dataset import BadRow
from services.marketdata.formats.lean_option import option_days, read_states

pytestmark = pytest.mark.unit

Outcomes = list[tuple[Case[object], frozenset[str]]]


@pytest.fixture(scope="module")
def outcomes() -> Outcomes:
    return list(judged(SUITES[0]))


@pytest.fixture(scope="module")
def scores(outcomes: Outcomes) -> dict[str, Score]:
    return score(outcomes, STATE_CHECKS)


def test_every_check_has_faults_and_what_only_looks_like_one(scores: dict[str, Score]) -> None:
    assert {code for code, one in scores.items() if one.found + one.missed < 2 or one.sound < 2} == set()


def test_labels_name_checks_there_are(outcomes: Outcomes) -> None:
    named = {code for case, _ in outcomes for code in (case.expected | case.tolerated | {case.check} - {""})}
    assert named <= set(STATE_CHECKS)
    assert all(case.expected <= {case.check} for case, _ in outcomes)


def test_no_check_cries_or_sleeps(scores: dict[str, Score]) -> None:
    """What a change of a check may not fall below; the page has the figures."""
    poor = {
        code: (one.precision, one.recall)
        for code, one in scores.items()
        if (one.precision or 0) < 0.65 or (one.recall or 0) < 0.75
    }
    assert poor == {}


def test_nothing_is_found_in_sound_markets_and_the_real_chain(outcomes: Outcomes) -> None:
    sound = [(case, found) for case, found in outcomes if not case.check]
    assert Counter(case.origin for case, _ in sound) == {"made": 50, "LEAN GOOG": 25}
    assert {case.title: found for case, found in sound if found} == {}


def test_a_market_is_the_same_whenever_it_is_made() -> None:
    one, other, third = (make(MARKETS[0], np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one == other != third


def test_the_page_is_current_and_made_without_what_may_not_be_published(
    outcomes: Outcomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scorecard, "judged", lambda suite: iter(outcomes))
    page = scorecard.render()
    assert (ROOT / "docs" / "quality-scorecard.md").read_text(encoding="utf-8") == page
    assert f"| `put_call_parity` | {scores_row(outcomes)}" in page


def scores_row(outcomes: Outcomes) -> str:
    faults = sum("put_call_parity" in case.expected for case, _ in outcomes)
    sound = sum(case.check == "put_call_parity" and not case.expected for case, _ in outcomes)
    return f"{faults} | {sound} |"


@pytest.mark.skipif(not (FOLDER / NAME).exists(), reason="the real chains are not in ../shared/data")
def test_the_real_chains_hold_what_plain_python_finds_in_their_text() -> None:
    """Every kept count is measured again; the labels share no code with the checks."""
    measured = measure(FOLDER / NAME)
    assert measured == kept_counts()
    totals, checks = measured["totals"], measured["checks"]
    assert (measured["snapshots"], totals["in_session"], totals["polls_the_same"]) == (370, 249, 87)
    assert (checks["spot_several"]["found"], checks["spot_zero"]["found"]) == (15, 3)
    assert (totals["legs"], totals["interest_not_whole"], totals["crossed"]) == (511_050, 21_653, 0)
    assert totals["last_zero"] / totals["legs"] == pytest.approx(0.351, abs=5e-4)
    assert totals["volatility_zero"] / totals["legs"] == pytest.approx(0.469, abs=5e-4)
    assert totals["butterfly_strictly"] / totals["butterfly_compared"] == pytest.approx(0.016, abs=5e-4)
    assert totals["strike_monotony_strictly"] / totals["strike_monotony_compared"] == pytest.approx(0.0017, abs=5e-5)
    assert totals["put_call_parity"] / totals["put_call_parity_compared"] < 0.003
    wrong = {code: counts for code, counts in checks.items() if counts.get("false") or counts.get("missed")}
    # One rate for all expiries leaves one snapshot just above the band; a term structure leaves none.
    assert wrong == {"put_call_parity": {"missed": 1}}
    # What cannot be served as it is: no spot, a spot of zero, empty content that ages, volatilities gone.
    assert {code: counts["critical"] for code, counts in checks.items() if "critical" in counts} == {
        "required_field_missing": 5,
        "spot_zero": 3,
        "stale_age": 2,
        "implied_volatility": 6,
    }


GOOG = FOLDER / "lean"


@pytest.mark.skipif(not GOOG.is_dir(), reason="the whole GOOG chain is not in ../shared/data")
def test_nothing_is_wrong_with_2_192_american_contracts_quoted_by_the_minute() -> None:
    days = option_days(GOOG / "option/usa/minute/goog", GOOG / "equity/usa/minute/goog")
    every = timedelta(minutes=30)
    states = list(read_states(days, symbol="GOOG", zone=ZoneInfo("America/New_York"), report=_refuse, every=every))
    assert (len(states), len(states[-1].option_chain or [])) == (8, 2_192)
    assert [judge_state(state, StateContext("x", session_open=True)) for state in states] == [[]] * 8


def _refuse(bad: BadRow) -> None:
    raise AssertionError(str(bad))
