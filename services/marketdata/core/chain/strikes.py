"""Prices across strikes: what no market leaves standing, at the prices one could trade at."""

from dataclasses import dataclass

import numpy as np

from services.marketdata.core.chain.arrays import Chain, Flags, Floats, Whole
from services.marketdata.core.chain.context import StateContext
from services.marketdata.core.chain.fields import Findings

# Where a chain's prices have no common step, a step is at most this share of the spot.
_LARGEST_STEP = 1e-4

Neighbours = tuple[Whole, Flags]


@dataclass(frozen=True, slots=True)
class Broken:
    """Of so many neighbours, those (by the index of the first) whose prices contradict each other."""

    number: int
    found: Whole

    @property
    def share(self) -> float:
        """Return the share of what was compared."""
        return len(self.found) / self.number if self.number else 0.0


def strikes_findings(chain: Chain, context: StateContext) -> Findings:
    """Return where prices contradict each other across strikes by more than one step of price."""
    step, neighbours = price_step(chain), neighbours_of(chain)
    pairs, triples = monotony(chain, neighbours, step), butterflies(chain, neighbours, step)
    return [
        context.thresholds.issue(
            "strike_monotony",
            pairs.share,
            f"{len(pairs.found)} of {pairs.number} neighbours are dearer where they cannot be",
            contracts=chain.named(pairs.found),
        ),
        context.thresholds.issue(
            "butterfly",
            triples.share,
            f"{len(triples.found)} of {triples.number} butterflies could be bought for less than nothing",
            contracts=chain.named(triples.found),
        ),
    ]


def price_step(chain: Chain) -> float:
    """Return the smallest step between the prices quoted: what is gained below it is not there to be had."""
    prices = np.unique(np.concatenate((chain.bid[chain.is_quoted], chain.ask[chain.is_quoted])))
    steps = np.diff(prices)
    largest = _LARGEST_STEP * chain.spot if chain.spot > 0 else 0.0
    return min(float(steps.min()), largest) if len(steps) else 0.0


def monotony(chain: Chain, neighbours: Neighbours, step: float) -> Broken:
    """Find neighbours of which the one that pays less is bid above the ask of the one that pays more.

    A call pays less the higher its strike, a put the lower it is.
    """
    order, same = neighbours
    low, high = order[:-1][same], order[1:][same]
    call = chain.is_call[low]
    less, more = np.where(call, high, low), np.where(call, low, high)
    broken = chain.bid[less] > chain.ask[more] + _beyond(step, chain.ask[more])
    return Broken(len(low), np.sort(less[broken]))


def butterflies(chain: Chain, neighbours: Neighbours, step: float) -> Broken:
    """Find three neighbours of which the middle one is bid above what its wings ask.

    The wings are weighted so that the whole never pays less than nothing: by (K3 - K2) / (K3 - K1) and the rest.
    """
    order, same = neighbours
    three = same[:-1] & same[1:]
    left, middle, right = order[:-2][three], order[1:-1][three], order[2:][three]
    strike = chain.strike
    weight = (strike[right] - strike[middle]) / (strike[right] - strike[left])
    wings = weight * chain.ask[left] + (1 - weight) * chain.ask[right]
    broken = chain.bid[middle] > wings + _beyond(step, wings)
    return Broken(len(middle), np.sort(middle[broken]))


def _beyond(step: float, prices: Floats) -> Floats:
    # The last digits of a float are no gain either.
    return step + 1e-9 * prices


def neighbours_of(chain: Chain) -> Neighbours:
    """Return the quoted contracts by right, expiry and strike, and where one and the next differ in strike alone."""
    quoted = np.flatnonzero(chain.is_quoted)
    order: Whole = quoted[np.lexsort((chain.strike[quoted], chain.expiry[quoted], chain.is_call[quoted]))]
    first, second = order[:-1], order[1:]
    same: Flags = (
        (chain.expiry[first] == chain.expiry[second])
        & (chain.is_call[first] == chain.is_call[second])
        & (chain.strike[first] < chain.strike[second])
    )
    return order, same
