"""The recall score in plain Python, one candidate at a time."""

from math import sqrt


def minmax01(values):
    """To [0, 1]; a half where all are equal."""
    low, high = min(values), max(values)
    return [(value - low) / (high - low) if high > low else 0.5 for value in values]


def parts(now_us, accessed_us, importance, relevance, base=0.995):
    """Recency, importance and relevance of every candidate, in [0, 1]."""
    hours = [max(now_us - accessed, 0) / 3.6e9 for accessed in accessed_us]
    recency = [base**since for since in hours]
    return minmax01(recency), minmax01(importance), minmax01(relevance)


def scores(weights, *rest):
    """Weighted sums of the parts; weights in their order."""
    return [
        sum(weight * part for weight, part in zip(weights, each, strict=True))
        for each in zip(*parts(*rest), strict=True)
    ]


def best(scores, sequence, k):
    """Places by falling score, then by sequence."""
    return sorted(range(len(scores)), key=lambda place: (-scores[place], sequence[place]))[:k]


def cosine(one, other):
    """0 where either is zero."""
    size = sqrt(sum(x * x for x in one) * sum(x * x for x in other))
    return sum(x * y for x, y in zip(one, other, strict=True)) / size if size else 0.0


def overlap(one, other):
    """The cosine of two sets."""
    return len(one & other) / sqrt(len(one) * len(other)) if one & other else 0.0
