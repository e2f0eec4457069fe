"""The corpus itself: what is in it, how the checks do on it, and the page that says so."""

from collections import Counter
from datetime import timedelta
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from benchmarks.corpus.case import Case, Score, Suite, judged, score
from benchmarks.corpus.market import MARKETS, make
from benchmarks.corpus.nse import FOLDER, NAME, kept_counts, measure
from benchmarks.corpus.suites import SUITES
from cli import scorecard
from cli.paths import ROOT
from services.marketdata.core.catalogue import CATALOGUE, Subject
from services.marketdata.core.chain.context import StateContext
from services.marketdata.core.chain.judge import judge_state
from services.marketdata.core.stream.lanes import CODES
from services.marketdata.core.stream.news import SUBJECTS
from services.marketdata.formats.dataset import BadRow
from services.marketdata.formats.lean_option import option_days, read_states

pytestmark = pytest.mark.unit

Outcomes = list[tuple[Case[object], frozenset[str]]]
STATES = SUITES[0]


@cache
def outcomes_of(suite: Suite[object]) -> Outcomes:
    return list(judged(suite))


@pytest.fixture(scope="module", params=SUITES, ids=lambda suite: suite.title)
def suite(request: pytest.FixtureRequest) -> Suite[object]:
    found: Suite[object] = request.param
    return found


@pytest.fixture
def outcomes(suite: Suite[object]) -> Outcomes:
    return outcomes_of(suite)


@pytest.fixture
def scores(suite: Suite[object], outcomes: Outcomes) -> dict[str, Score]:
    return score(outcomes, suite.checks)


def test_every_check_of_the_catalogue_has_cases_of_all_it_is_judged_of() -> None:
    listed = {code for each in SUITES for code in each.checks}
    assert listed == set(CATALOGUE)
    assert len({each.title for each in SUITES}) == len(SUITES)


def claimed(subject: Subject) -> set[str]:
    """What the catalogue says is judged of rows of a kind, but for what time alone tells."""
    over_time = next(set(each.checks) for each in SUITES if each.title == "Series over time")
    return {code for code, check in CATALOGUE.items() if subject in check.subjects} - over_time


def test_the_catalogue_claims_of_each_kind_of_rows_what_is_judged_of_them() -> None:
    judged = {each.title: set(each.checks) for each in SUITES}
    assert claimed(Subject.BAR) == judged["Bars"]
    assert claimed(Subject.TICK) == claimed(Subject.LIQUIDATION) == judged["Trades and liquidations"]
    # Refused as a row, it is found in messages.
    assert claimed(Subject.ORDER_BOOK) == judged["Order books"] | {"quantity_negative"}
    assert claimed(Subject.FUNDING_RATE) == judged["Funding rates"] | {"outside_session"}


def test_the_catalogue_claims_of_ticks_and_books_what_is_judged_of_their_messages() -> None:
    for stream, codes in CODES.items():
        assert [code for code in codes if SUBJECTS[stream] not in CATALOGUE[code].subjects] == []
    assert {code for codes in CODES.values() for code in codes} == {
        code for each in SUITES if each.title == "Messages of a stream" for code in each.checks
    }


def test_every_check_has_faults_and_what_only_looks_like_one(scores: dict[str, Score]) -> None:
    assert {code for code, one in scores.items() if one.found + one.missed < 2 or one.sound < 2} == set()


def test_labels_name_checks_there_are(suite: Suite[object], outcomes: Outcomes) -> None:
    named = {code for case, _ in outcomes for code in (case.expected | case.tolerated | {case.check} - {""})}
    # What follows from a fault of any rows may be of a check that only some of them have.
    assert named <= set(CATALOGUE)
    assert all(case.check in {"", *suite.checks} and case.expected <= {case.check} for case, _ in outcomes)


def test_nothing_is_found_that_no_suite_scores(suite: Suite[object], outcomes: Outcomes) -> None:
    """A code that is not among the checks would be a false alarm that nobody counts."""
    assert {code for _, found in outcomes for code in found} <= set(suite.checks)


# What a change of a check may not fall below, precision and recall; the page has the figures.
FLOORS = {"Market states": (0.65, 0.75)}
OTHERWISE = (0.60, 0.45)


def test_no_check_cries_or_sleeps(suite: Suite[object], scores: dict[str, Score]) -> None:
    precision, recall = FLOORS.get(suite.title, OTHERWISE)
    poor = {
        code: (one.precision, one.recall)
        for code, one in scores.items()
        if (one.precision or 0) < precision or (one.recall or 0) < recall
    }
    assert poor == {}


def test_nothing_is_found_in_sound_markets_and_the_real_chain() -> None:
    sound = [(case, found) for case, found in outcomes_of(STATES) if not case.check]
    assert Counter(case.origin for case, _ in sound) == {"made": 50, "LEAN GOOG": 25}
    assert {case.title: found for case, found in sound if found} == {}


@pytest.mark.parametrize("title", ["Bars", "Trades and liquidations", "Order books"])
def test_hardly_anything_is_found_in_sound_rows(title: str) -> None:
    """A jump of a fat tail now and then is what a Hampel filter costs."""
    suite = next(each for each in SUITES if each.title == title)
    sound = [(case, found - case.tolerated) for case, found in outcomes_of(suite) if not case.check]
    assert len(sound) > 30
    assert {code for _, found in sound for code in found} <= {"price_outlier"}
    assert sum(bool(found) for _, found in sound) / len(sound) < 0.08


def test_cases_are_the_same_whenever_they_are_made() -> None:
    for each in SUITES[1:]:
        again = [case.given for case in each.cases()]
        assert [each.judge(given) for given in again[::17]] == [
            each.judge(case.given) for case, _ in outcomes_of(each)[::17]
        ]


def test_a_market_is_the_same_whenever_it_is_made() -> None:
    one, other, third = (make(MARKETS[0], np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one == other != third


def test_the_page_is_current_and_made_without_what_may_not_be_published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scorecard, "judged", lambda suite: iter(outcomes_of(suite)))
    page = scorecard.render()
    assert (ROOT / "docs" / "quality-scorecard.md").read_text(encoding="utf-8") == page
    assert f"| `put_call_parity` | {scores_row(outcomes_of(STATES))}" in page


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
    assert (measured["rows_reported"], measured["rows_reported_otherwise"]) == (15, 0)
    assert (measured["snapshots"], totals["in_session"], totals["polls_the_same"]) == (370, 249, 87)
    assert (checks["spot_several"]["found"], checks["spot_zero"]["found"]) == (15, 3)
    assert (totals["legs"], totals["interest_not_whole"], totals["crossed"]) == (511_050, 21_653, 0)
    # All of it is in parts of a lot, so that none of 365 chains is warned of.
    assert totals["interest_in_thirds"] == totals["interest_not_whole"]
    assert checks["open_interest_fractional"] == {}
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
