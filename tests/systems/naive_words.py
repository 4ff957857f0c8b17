"""Words, BM25, phrases and prefixes in plain Python, one text at a time."""

import re
from collections import Counter
from math import log
from unicodedata import normalize

from populace.systems.stemming import COMMON, stem

WORD = re.compile(r"\w+(?:['\u2019]\w+)*")
ENDINGS = {"s", "m", "d", "re", "ve", "ll"}


def split(text):
    """Every word in its order."""
    found = []
    for run in WORD.findall(normalize("NFKC", normalize("NFKC", text).casefold())):
        parts = run.replace("\u2019", "'").split("'")
        while len(parts) > 1 and parts[-1] in ENDINGS:
            parts.pop()
        found.append("'".join(parts))
    return found


def terms(text):
    """The stems that count, in their order."""
    return [stem(word) for word in split(text) if word not in COMMON]


def bm25(query, texts, k1, b):
    """The score of each text among them all."""
    counts = [Counter(terms(text)) for text in texts]
    lengths = [count.total() for count in counts]
    n = len(texts)
    scores = []
    for count, length in zip(counts, lengths, strict=True):
        score = 0.0
        for term in dict.fromkeys(terms(query)):
            if tf := min(count[term], 255):
                df = sum(term in other for other in counts)
                norm = k1 * (1 - b + b * length / (sum(lengths) / n))
                score += log(1 + (n - df + 0.5) / (df + 0.5)) * tf * (k1 + 1) / (tf + norm)
        scores.append(score)
    return scores


def passes(text, phrase=None, prefix=None):
    """Whether the text has the phrase, and a word that begins so."""
    have = split(text)
    if phrase is not None:
        want = split(phrase)
        places = range(len(have) - len(want) + 1)
        if not any(have[at : at + len(want)] == want for at in places):
            return False
    return prefix is None or any(word.startswith(split(prefix)[0]) for word in have)
