"""The parameters of a town, beside those of the laws: the sections [town] and [rumours]."""

from __future__ import annotations

from populace.ecs import setting, settings
from populace.ecs.errors import SettingError


@settings
class Town:
    """How large a town is, and how its people live. A resource."""

    agents: int = setting(10_000, range=(2, 2_000_000), doc="people who live there")
    personas: str = setting(
        "",
        doc="file of personas, or folder of minds, who are the first to move in; '' generates all",
    )
    density: float = setting(4_000.0, range=(10, 100_000), unit="1/km²", doc="people to the km²")
    household: float = setting(2.5, range=(1, 20), doc="people to a home")
    staff: float = setting(20.0, range=(1, 100_000), doc="people to a workplace")
    regulars: float = setting(60.0, range=(1, 100_000), doc="people to a meeting place")
    reach: float = setting(
        100.0, range=(0, 1e6), doc="people among whose homes one's workplace and haunt lie"
    )
    acquaintances: float = setting(
        2.6, range=(0, 10), doc="neighbours whom one knows at the outset, beside one's household"
    )
    topics: int = setting(3, range=(0, 20), doc="topics that one is versed in at the outset")
    small_talk: float = setting(0.1, range=(0, 1), doc="how much these are worth telling")
    births: float = setting(
        0.0, range=(0, 1_000), unit="1/year", doc="children to 1,000 people; 0 for none"
    )


@settings
class Rumours:
    """What news begins with a few people. A resource."""

    told: str = setting(
        "Sam Moore's run for mayor; the Valentine's Day party at Hobbs Cafe",
        doc="the rumours, split by semicolons; '' for none",
    )
    appeal: str = setting(
        "0.32; 0.5", doc="how much each is worth telling, from 0 to 1, split by semicolons"
    )
    knowers: int = setting(1, range=(1, 2_000_000), doc="people whom each begins with")

    def check(self) -> None:
        """Refuse appeals that are none, or not one to a rumour."""
        texts, appeals = self.texts, self.appeal.split(";") if self.told.strip() else []
        if len(set(texts)) != len(texts):
            raise SettingError(f"Rumours.told names a rumour twice: {self.told!r}")
        try:
            good = all(0 <= value <= 1 for value in map(float, appeals))
        except ValueError:
            good = False
        if not good or len(appeals) != len(texts):
            raise SettingError(
                f"Rumours.appeal must be a number from 0 to 1 for each of the {len(texts)} "
                f"rumours, split by semicolons, as '0.5; 1'; got {self.appeal!r}"
            )

    @property
    def texts(self) -> list[str]:
        """Each rumour."""
        return [text.strip() for text in self.told.split(";") if text.strip()]

    @property
    def appeals(self) -> list[float]:
        """How much each is worth telling."""
        return [float(text) for text in self.appeal.split(";")] if self.texts else []
