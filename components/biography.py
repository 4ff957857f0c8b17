"""What is told of an agent: written once, by an importer or the generator."""

from __future__ import annotations

from populace.ecs import Text, component, field, u1


@component
class Biography:
    """An agent's life in a few lines; what a source does not tell is empty."""

    age: u1 = field(range=(0, 130), unit="years", doc="age in years")
    innate: Text = field(default="", doc="temper in a few adjectives")
    learned: Text = field(default="", doc="who the agent has become: work, interests")
    currently: Text = field(default="", doc="what the agent is busy with these days")
    lifestyle: Text = field(default="", doc="sleeping and eating habits")
    home: Text = field(default="", doc="where the agent lives")


@component
class Survey:
    """Answers of a respondent of the General Social Survey, in the survey's own words."""

    agent_id: Text = field(default="", doc="the source's own id of the persona")
    sex: Text = ""
    ethnicity: Text = field(default="", doc="country or countries the ancestors came from")
    race: Text = ""
    detailed_race: Text = ""
    hispanic_origin: Text = ""
    political_views: Text = ""
    party_identification: Text = ""
    residence_at_16: Text = ""
    same_residence_since_16: Text = ""
    family_structure_at_16: Text = ""
    family_income_at_16: Text = ""
    fathers_highest_degree: Text = ""
    mothers_highest_degree: Text = ""
    mothers_work_history: Text = ""
    marital_status: Text = ""
    work_status: Text = ""
    military_service_duration: Text = ""
    religion: Text = ""
    religion_at_16: Text = ""
    born_in_us: Text = ""
    us_citizenship_status: Text = ""
    highest_degree_received: Text = ""
    speak_other_language: Text = ""
    total_wealth: Text = ""
