"""The laws in plain Python, one row at a time: what the kernels are held to."""


def strength(importance, stability_s, accessed_us, now_us, floor=0.0):
    """Importance times retrievability, in f8."""
    elapsed_s = max(now_us - accessed_us, 0) / 1e6
    return importance * max(2.0 ** (-elapsed_s / stability_s), floor)


def rows_to_forget(strengths, created_us, theta, now_us, grace_us):
    """The rows that are too weak and old enough."""
    return [
        row
        for row, (strong, created) in enumerate(zip(strengths, created_us, strict=True))
        if strong < theta and now_us - created >= grace_us
    ]
