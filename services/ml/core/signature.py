"""Match the features of a request with those a model takes."""

import math
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.schemas.ml import ModelSignature

# Errors name at most this many features, cut to a readable length.
_MOST_NAMED = 20
_LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class FeatureProblem:
    """What is wrong with one feature: `code` is missing, extra or overflow."""

    name: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class FeatureRow:
    """A row in signature order, and the features outside the range seen in training."""

    values: tuple[float, ...]
    out_of_range: list[str]


def signature_problems(signature: ModelSignature) -> list[str]:
    """Return what makes a signature useless: names twice, empty ranges, bounds no float32 can hold."""
    counts = Counter(feature.name for feature in signature.features)
    problems = [f"feature {name} is listed {count} times" for name, count in counts.items() if count > 1]
    for feature in signature.features:
        if feature.minimum > feature.maximum:
            problems.append(f"feature {feature.name} has minimum above maximum")
        if not (fits_float32(feature.minimum) and fits_float32(feature.maximum)):
            problems.append(f"feature {feature.name} has a bound that float32 cannot hold")
    return problems


def match_features(signature: ModelSignature, features: Mapping[str, float]) -> FeatureRow | list[FeatureProblem]:
    """Return the row of a request in signature order, or every reason why there is none."""
    names = [feature.name for feature in signature.features]
    known = set(names)
    problems = [
        FeatureProblem(name, "missing", "The model takes this feature and the request lacks it")
        for name in names
        if name not in features
    ]
    problems += [
        FeatureProblem(name[:_LONGEST_NAME], "extra", "The model does not take this feature")
        for name in features
        if name not in known
    ]
    problems += [
        FeatureProblem(name, "overflow", "The value is beyond what float32 can hold")
        for name in names
        if name in features and not fits_float32(features[name])
    ]
    if problems:
        return problems[:_MOST_NAMED]
    return FeatureRow(tuple(features[name] for name in names), out_of_range(signature, features))


def out_of_range(signature: ModelSignature, features: Mapping[str, float]) -> list[str]:
    """Return the features outside the closed range seen in training, in signature order."""
    return [
        feature.name
        for feature in signature.features
        if not feature.minimum <= features[feature.name] <= feature.maximum
    ]


def fits_float32(value: float) -> bool:
    """Tell whether a finite value stays finite as float32."""
    try:
        return math.isfinite(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return False


def probe_rows(signature: ModelSignature) -> list[Sequence[float]]:
    """Return the rows a model is tried on: the middle of every range, then both ends."""
    features = signature.features
    return [
        [feature.minimum / 2 + feature.maximum / 2 for feature in features],
        [feature.minimum for feature in features],
        [feature.maximum for feature in features],
    ]
