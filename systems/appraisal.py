"""Appraisal: which way an emotion of Ortony, Clore & Collins pulls in pleasure, arousal, dominance.

Source: the table of GAMYGDALA (Popescu, Broekens & van Someren 2014), which takes the measured PAD
points of fitting adjectives from Mehrabian & Russell 1977 (joyful .76 .48 .35, angry -.51 .59 .25).
Gebhard's ALMA (2005) has weaker ones for most labels (joy .40 .20 .10) and the same for anger.
"""

from __future__ import annotations

import numpy as np

from populace.components.emotion import OCC

VECTORS = {
    OCC.JOY: (0.76, 0.48, 0.35),
    OCC.DISTRESS: (-0.61, 0.28, -0.36),
    OCC.HOPE: (0.51, 0.23, 0.14),
    OCC.FEAR: (-0.64, 0.60, -0.43),
    OCC.SATISFACTION: (0.87, 0.20, 0.62),
    OCC.FEARS_CONFIRMED: (-0.61, 0.06, -0.32),
    OCC.RELIEF: (0.29, -0.19, -0.28),
    OCC.DISAPPOINTMENT: (-0.61, -0.15, -0.29),
    OCC.HAPPY_FOR: (0.64, 0.35, 0.25),
    OCC.RESENTMENT: (-0.35, 0.35, 0.29),
    OCC.PITY: (-0.52, 0.02, -0.21),
    OCC.GLOATING: (-0.45, 0.48, 0.42),
    OCC.GRATITUDE: (0.64, 0.16, -0.21),
    OCC.ANGER: (-0.51, 0.59, 0.25),
    OCC.GRATIFICATION: (0.69, 0.57, 0.63),
    OCC.REMORSE: (-0.57, 0.28, -0.34),
}
"""Pleasure, arousal and dominance of each label at intensity 1."""

OCC_VECTORS = np.array([VECTORS[label] for label in OCC], np.float32)
"""(16, 3) f4: the same, by the value of the label."""
OCC_VECTORS.flags.writeable = False
