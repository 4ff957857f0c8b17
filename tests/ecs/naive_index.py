"""Plain dictionaries in place of `PairTable` and `Buckets`, and keys that collide on purpose."""

import numpy as np

_MASK = 2**64 - 1


def u8(values):
    return np.array(values, np.uint64)


def u4(values):
    return np.array(values, np.uint32)


def key_of_hash(hashed):
    """The key whose SplitMix64 finaliser is `hashed`: each of its steps, undone in turn."""
    z = hashed ^ hashed >> 31 ^ hashed >> 62
    z = z * pow(0x94D049BB133111EB, -1, 2**64) & _MASK
    z = z ^ z >> 27 ^ z >> 54
    z = z * pow(0xBF58476D1CE4E5B9, -1, 2**64) & _MASK
    return z ^ z >> 30 ^ z >> 60


class NaivePairTable:
    """What a `PairTable` answers, from a dict."""

    def __init__(self):
        self.values = {}

    def find(self, keys):
        return [self.values.get(key, 0) for key in keys]

    def claim(self, keys):
        numbers = {}
        for key in keys:
            if key not in self.values:
                numbers.setdefault(key, len(numbers))
        return self.find(keys), [numbers.get(key, -1) for key in keys]

    def duplicates(self, keys):
        for place, key in enumerate(keys):
            if key in self.values or key in keys[:place]:
                return place
        return -1

    def insert(self, keys, values):
        self.values.update(zip(keys, values, strict=True))

    def discard(self, keys):
        return sum(self.values.pop(key, 0) != 0 for key in keys)

    def items(self):
        return sorted(self.values), [self.values[key] for key in sorted(self.values)]


class NaiveBuckets:
    """What a `Buckets` answers, from a dict of each member's owner."""

    def __init__(self):
        self.owner_of = {}

    def add(self, owners, members):
        self.owner_of.update(zip(members, owners, strict=True))

    move = add

    def discard(self, owners, members):
        here = {m for o, m in zip(owners, members, strict=True) if self.owner_of.get(m) == o}
        self.owner_of = {m: o for m, o in self.owner_of.items() if m not in here}
        return len(here)

    def drop(self, owners):
        n_members = len(self.owner_of)
        self.owner_of = {m: o for m, o in self.owner_of.items() if o not in owners}
        return n_members - len(self.owner_of)

    def members(self, owners):
        """One ascending list for each owner."""
        found = {owner: [] for owner in owners}
        for member in sorted(self.owner_of):
            if self.owner_of[member] in found:
                found[self.owner_of[member]].append(member)
        return [found[owner] for owner in owners]
