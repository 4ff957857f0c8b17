"""How hypothesis runs here: POPULACE_EXAMPLES examples of each property, the same ones under CI.

No deadline: a first call compiles kernels.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "populace",
    max_examples=int(os.environ.get("POPULACE_EXAMPLES", "200")),
    deadline=None,
    derandomize="CI" in os.environ,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("populace")
