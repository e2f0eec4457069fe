"""Whether value at risk was exceeded as often, and as independently, as it said.

An exception is a day whose loss was larger than the value at risk given for it.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import erfc, exp, fsum, lgamma, log, log1p, sqrt

import numpy as np
from numpy.typing import NDArray

from services.risk.core.var.inputs import FloatArray, require_confidence, require_vector

BoolArray = NDArray[np.bool_]

# Basel Committee (1996): cumulative probabilities from which a count of exceptions is yellow, and red.
_YELLOW = 0.95
_RED = 0.9999


class BacktestName(StrEnum):
    """What is tested."""

    KUPIEC = "kupiec"
    INDEPENDENCE = "christoffersen_independence"
    CONDITIONAL_COVERAGE = "christoffersen_conditional_coverage"


class Zone(StrEnum):
    """The traffic light of the Basel Committee."""

    GREEN = "GREEN"
    YELLOW = "YELLOW"
    RED = "RED"


@dataclass(frozen=True, slots=True)
class LikelihoodRatio:
    """A likelihood ratio, and how probable one at least as large is where the value at risk is right.

    `confidence` is that of the value at risk. `note` says why the days cannot speak against it, where they cannot.
    """

    test: BacktestName
    statistic: float
    degrees_of_freedom: int
    p_value: float
    confidence: float
    observations: int
    exceptions: int
    note: str | None


@dataclass(frozen=True, slots=True)
class TrafficLight:
    """The zone of a count of exceptions, and how probable at most as many are where the value at risk is right."""

    zone: Zone
    cumulative_probability: float
    confidence: float
    observations: int
    exceptions: int


def exceptions(returns: FloatArray, value_at_risk: FloatArray) -> BoolArray:
    """Return which days lost more than the value at risk that was given for them.

    Both are fractions of equity, one a day, oldest first: returns with losses negative, value at risk not below 0.
    Raises ValueError for different lengths, a negative value at risk, and what is not finite.
    """
    require_vector(returns, "returns")
    require_vector(value_at_risk, "value at risk")
    if len(returns) != len(value_at_risk):
        raise ValueError(f"{len(returns)} returns do not go with {len(value_at_risk)} values at risk")
    if value_at_risk.min() < 0:
        raise ValueError("value at risk is negative")
    return returns < -value_at_risk


def kupiec(observations: int, exception_count: int, confidence: float) -> LikelihoodRatio:
    """Test whether the share of exceptions is 1 - confidence.

    Twice the log-likelihood of the share seen over that of the share expected, chi-square with 1 degree of freedom:
    Kupiec (1995), "Techniques for verifying the accuracy of risk measurement models", Journal of Derivatives 3. Raises
    ValueError for a confidence outside (0, 1) and for counts that cannot be.
    """
    _require_counts(observations, exception_count, confidence)
    statistic = _coverage(observations, exception_count, confidence)
    return LikelihoodRatio(
        BacktestName.KUPIEC, statistic, 1, _chi_square_1(statistic), confidence, observations, exception_count, None
    )


def christoffersen_independence(exceeded: BoolArray, confidence: float) -> LikelihoodRatio:
    """Test whether an exception is as likely the day after one as on any other day.

    The ratio of a first-order Markov chain to independent days, chi-square with 1 degree of freedom: Christoffersen
    (1998), "Evaluating interval forecasts", International Economic Review 39, section 3.2. `exceeded` is one boolean a
    day, oldest first; the confidence only names what was tested. What has no days to be judged by adds nothing to the
    ratio. Raises ValueError for fewer than two days and for a confidence outside (0, 1).
    """
    days, count = _counted(exceeded, confidence)
    statistic, note = _clustering(exceeded)
    return LikelihoodRatio(
        BacktestName.INDEPENDENCE, statistic, 1, _chi_square_1(statistic), confidence, days, count, note
    )


def christoffersen_conditional_coverage(exceeded: BoolArray, confidence: float) -> LikelihoodRatio:
    """Test coverage and independence at once, chi-square with 2 degrees of freedom.

    The sum of both ratios: Christoffersen (1998), section 3.3. As in Jorion (2007), "Value at Risk", section 6.2, the
    coverage is that of all days, the first one too. Raises ValueError as `christoffersen_independence` does.
    """
    days, count = _counted(exceeded, confidence)
    clustering, note = _clustering(exceeded)
    statistic = _coverage(days, count, confidence) + clustering
    # The survival function of chi-square with 2 degrees of freedom.
    p_value = exp(-statistic / 2)
    return LikelihoodRatio(BacktestName.CONDITIONAL_COVERAGE, statistic, 2, p_value, confidence, days, count, note)


def traffic_light(observations: int, exception_count: int, confidence: float) -> TrafficLight:
    """Return the zone of a count of exceptions: green below a cumulative probability of 95 %, red from 99.99 %.

    At 250 days and a confidence of 0.99 that is green to 4, yellow to 9 and red from 10: Basel Committee on Banking
    Supervision (1996), "Supervisory framework for the use of backtesting in conjunction with the internal models
    approach to market risk capital requirements", table 2. The binomial distribution gives the same rule for other
    days and confidences. Raises ValueError as `kupiec` does.
    """
    _require_counts(observations, exception_count, confidence)
    probability = _binomial_cdf(observations, exception_count, confidence)
    if probability < _YELLOW:
        zone = Zone.GREEN
    elif probability < _RED:
        zone = Zone.YELLOW
    else:
        zone = Zone.RED
    return TrafficLight(zone, probability, confidence, observations, exception_count)


def _require_counts(observations: int, exception_count: int, confidence: float) -> None:
    require_confidence(confidence)
    if type(observations) is not int or observations < 1:
        raise ValueError(f"observations must be a whole number from 1, not {observations!r}")
    if type(exception_count) is not int or not 0 <= exception_count <= observations:
        raise ValueError(f"exceptions must be a whole number from 0 to {observations}, not {exception_count!r}")


def _counted(exceeded: BoolArray, confidence: float) -> tuple[int, int]:
    require_confidence(confidence)
    if not isinstance(exceeded, np.ndarray) or exceeded.dtype != np.bool_ or exceeded.ndim != 1:
        raise ValueError("exceptions must be a one-dimensional array of booleans")
    if len(exceeded) < 2:
        raise ValueError(f"{len(exceeded)} observations are too few: it takes 2")
    return len(exceeded), int(np.count_nonzero(exceeded))


def _coverage(observations: int, exception_count: int, confidence: float) -> float:
    passed = observations - exception_count
    expected = exception_count * log1p(-confidence) + passed * log(confidence)
    # Rounding may leave a little below 0 where both are the same.
    return max(2 * (_log_likelihood(passed, exception_count) - expected), 0.0)


def _clustering(exceeded: BoolArray) -> tuple[float, str | None]:
    before, after = exceeded[:-1], exceeded[1:]
    both = int(np.count_nonzero(before & after))
    left = int(np.count_nonzero(before)) - both
    entered = int(np.count_nonzero(after)) - both
    neither = len(before) - both - left - entered
    chain = _log_likelihood(neither, entered) + _log_likelihood(left, both)
    alike = _log_likelihood(neither + left, entered + both)
    note = None
    if both + left == 0:
        note = "no exception has a day after it, so that independence was not tested"
    elif neither + entered == 0:
        note = "an exception is before every day, so that independence was not tested"
    return max(2 * (chain - alike), 0.0), note


def _log_likelihood(failures: int, successes: int) -> float:
    """Return the log-likelihood of a share at its most likely value; 0 log 0 is 0, its limit."""
    days = failures + successes
    return fsum(count * log(count / days) for count in (failures, successes) if count)


def _chi_square_1(statistic: float) -> float:
    """Return the survival function of chi-square with 1 degree of freedom, the square of a standard normal."""
    return erfc(sqrt(statistic / 2))


def _binomial_cdf(trials: int, successes: int, confidence: float) -> float:
    """Return how probable at most this many successes are, each of probability 1 - confidence."""
    log_success, log_failure = log1p(-confidence), log(confidence)
    terms = (
        exp(
            lgamma(trials + 1)
            - lgamma(count + 1)
            - lgamma(trials - count + 1)
            + count * log_success
            + (trials - count) * log_failure
        )
        for count in range(successes + 1)
    )
    return min(fsum(terms), 1.0)
