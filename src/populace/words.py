"""The words of the generator: names, trades, places, and the sentences memories are made of.

Sentences follow the wording of real memory streams ("bed is idle", "Klaus is reading a book").
Every place has the same number of things and of doings, so that a sentence is an index.
"""

from __future__ import annotations

from typing import Final, NamedTuple

FIRST_NAMES: Final = tuple(
    """
    Abena Adam Aditi Agnes Ahmed Aiko Alba Alejandro Alice Amara Amir Amy Ana Anders Andrea
    Anika Anton Arjun Arthur Asha Astrid Ayumi Beatriz Ben Bianca Boris Bruno Camila Carlos
    Carmen Cecilia Chen Chloe Clara Daniel Daria David Dewi Diego Dimitri Edith Elena Elif
    Emeka Emil Emma Erik Esther Eva Fatima Felix Femi Finn Freya Gabriel Grace Greta Hana
    Hannah Haruto Hassan Helen Hugo Ibrahim Ida Ines Ingrid Irene Isabel Ivan Jack Jakob
    Jamal Jana Javier Jing Joao Johanna Jonas Josefa Joy Judit Julia Kaito Karim Katya Kenji
    Khadija Kofi Lars Laura Layla Leo Leila Lin Lucia Luis Lukas Magda Malik Marco Maria
    Marta Mateo Maya Mei Mikael Milan Mina Mira Mohamed Nadia Naoko Nia Nils Noah Nora Olga
    Oliver Omar Oscar Paula Pedro Petra Priya Rafael Rania Ravi Rosa Ruth Sakura Samir Sara
    Sean Selma Sergei Simon Sofia Sunita Tariq Teresa Thandi Theo Thomas Tomoko Uma Vera
    Victor Wanda Wei Yara Yusuf Zainab Zoe
    """.split()
)

LAST_NAMES: Final = tuple(
    """
    Abebe Adeyemi Ahmadi Almeida Andersson Aoki Bakker Banerjee Barros Becker Bell Bianchi
    Blanc Boateng Castillo Chaudhry Chen Costa Cruz Dahl Das Diallo Diaz Dubois Eriksen
    Evans Farah Fischer Flores Fontaine Fujita Garcia Gupta Haddad Hansen Harris Hashimoto
    Herrera Hoffmann Horvat Hughes Ibrahim Ivanov Jansen Jensen Jimenez Johnson Kamau Kaplan
    Kaur Keller Khan Kim Koch Kovacs Kowalski Kruger Kumar Laurent Lee Lehmann Lima
    Lindqvist Lopez Maier Mancini Martin Mbeki Mehta Mendoza Meyer Molina Moreau Mueller
    Murphy Mwangi Nakamura Navarro Nguyen Nielsen Novak Nwosu Oduya Okafor Olsen Ortega Osei
    Ozturk Palmer Park Patel Pereira Petrov Popescu Quinn Ramos Rao Reyes Ricci Rivera
    Rodriguez Rossi Rossouw Saito Salazar Sanchez Santos Sato Schmidt Sharma Silva Singh
    Sokolov Stewart Suzuki Takeda Tamm Tanaka Tesfaye Thompson Torres Tran Vasquez Virtanen
    Vogel Wagner Walker Wang Watanabe Weber Williams Wood Yamada Yilmaz Young Zhang
    Zimmermann
    """.split()
)


class Place(NamedTuple):
    """Where memories form. trade: of those who work there, "" for home and places of leisure."""

    name: str
    trade: str
    things: tuple[str, ...]
    doings: tuple[str, ...]


def _place(name: str, trade: str, things: str, doings: str) -> Place:
    return Place(name, trade, tuple(things.split(", ")), tuple(doings.split(", ")))


HOME: Final = 0
PLACES: Final = (
    _place(
        "home",
        "",
        "bed, desk, refrigerator, kitchen sink, closet, cooking area",
        "having breakfast, taking a shower, getting ready for bed, tidying the kitchen, "
        "cooking dinner, reading a book, watching a film, writing in a diary",
    ),
    _place(
        "the cafe",
        "",
        "cafe seating, cafe counter, coffee machine, piano, notice board, terrace",
        "having a coffee, reading the newspaper, meeting a friend, eating a slice of cake, "
        "listening to the piano, people-watching, answering messages, playing chess",
    ),
    _place(
        "the park",
        "",
        "park bench, pond, playground, bandstand, rose garden, drinking fountain",
        "taking a walk, jogging by the pond, feeding the ducks, sitting in the sun, walking "
        "the dog, sketching the trees, flying a kite, having a picnic",
    ),
    _place(
        "the library",
        "",
        "library table, library sofa, bookshelf, reading lamp, map room, copier",
        "looking for a book, taking notes, studying a map, returning a novel, reading a "
        "biography, learning a language, browsing old photographs, preparing a talk",
    ),
    _place(
        "the pub",
        "",
        "bar counter, pool table, dartboard, jukebox, fireplace, microphone",
        "having a drink, playing darts, singing along, telling a story, watching the match, "
        "playing pool, celebrating a birthday, listening to a band",
    ),
    _place(
        "the market",
        "",
        "fruit stall, cheese stall, flower stand, fish counter, cash desk, bicycle rack",
        "buying vegetables, haggling over a price, choosing flowers, carrying bags, tasting "
        "cheese, comparing recipes, looking for a gift, waiting in line",
    ),
    _place(
        "the bakery",
        "baker",
        "oven, flour bin, display case, bread rack, kneading table, scales",
        "kneading dough, serving customers, baking rye bread, decorating a cake, cleaning the "
        "oven, planning the week's bread, ordering flour, teaching an apprentice",
    ),
    _place(
        "the school",
        "teacher",
        "blackboard, classroom, staff room, gym, globe, projector",
        "teaching a class, marking papers, talking with a parent, preparing a test, helping a "
        "pupil, rehearsing the school play, writing reports, running the science club",
    ),
    _place(
        "the clinic",
        "nurse",
        "waiting room, examination table, medicine cabinet, ward, stethoscope, reception desk",
        "changing a dressing, comforting a patient, checking charts, giving vaccinations, "
        "handing over the shift, sterilising instruments, calling a relative, assisting a "
        "doctor",
    ),
    _place(
        "the workshop",
        "carpenter",
        "workbench, band saw, lathe, tool wall, varnish shelf, drawing board",
        "sawing planks, planing a table top, sketching a chair, sharpening chisels, "
        "varnishing a door, measuring a staircase, repairing a window, sweeping shavings",
    ),
    _place(
        "the farm",
        "farmer",
        "barn, tractor, hen house, orchard, greenhouse, milk tank",
        "milking the cows, mending a fence, picking apples, sowing barley, repairing the "
        "tractor, feeding the hens, watching the weather, selling eggs",
    ),
    _place(
        "the office",
        "accountant",
        "printer, meeting table, filing cabinet, telephone, whiteboard, kitchenette",
        "balancing the books, attending a meeting, answering the telephone, checking "
        "invoices, preparing a budget, writing a memo, filing a tax return, training a "
        "colleague",
    ),
    _place(
        "the studio",
        "painter",
        "easel, skylight, paint rack, canvas stack, model stand, old radio",
        "mixing colours, stretching a canvas, painting a portrait, sketching a model, "
        "varnishing a landscape, hanging an exhibition, cleaning brushes, studying an old "
        "master",
    ),
    _place(
        "the laboratory",
        "chemist",
        "fume hood, microscope, centrifuge, balance, sample fridge, lab notebook",
        "running an experiment, calibrating the balance, reading a paper, writing up results, "
        "labelling samples, discussing a method, cleaning glassware, plotting data",
    ),
    _place(
        "the harbour",
        "fisher",
        "quay, trawler, net shed, ice machine, crane, lighthouse",
        "mending nets, unloading the catch, checking the engine, reading the tide table, "
        "painting the hull, selling fish, coiling ropes, listening to the radio",
    ),
    _place(
        "the newsroom",
        "journalist",
        "news desk, archive, camera locker, editor's office, teleprinter, coffee corner",
        "interviewing a witness, checking a source, writing an article, meeting a deadline, "
        "cutting a headline, following a lead, proofreading a column, arguing with the editor",
    ),
    _place(
        "the theatre",
        "actor",
        "stage, dressing room, prompter's box, costume rail, curtain, balcony",
        "learning lines, rehearsing a scene, trying a costume, warming up the voice, painting "
        "scenery, bowing to applause, reading a script, directing a newcomer",
    ),
    _place(
        "the garage",
        "mechanic",
        "car lift, tyre rack, tool trolley, air compressor, oil drum, parts counter",
        "changing tyres, tuning an engine, writing an estimate, ordering parts, testing the "
        "brakes, explaining a bill, charging a battery, towing a van",
    ),
    _place(
        "the town hall",
        "clerk",
        "counter, council chamber, archive room, notice wall, stamp rack, clock tower",
        "issuing a permit, answering a complaint, minuting the council, registering a birth, "
        "counting votes, drafting a notice, filing applications, showing visitors around",
    ),
    _place(
        "the restaurant",
        "cook",
        "stove, cold store, dishwasher, dining room, pass, spice rack",
        "chopping onions, tasting the soup, planning the menu, plating a dessert, grilling "
        "fish, scolding a waiter, writing the order, sharpening knives",
    ),
)

TOPICS: Final = (
    "the summer festival", "the new bridge", "the mayor's election", "a lost dog",
    "the price of bread", "the school play", "a job in the city", "the flood of last spring",
    "an old friend's wedding", "the chess tournament", "a recipe for soup", "the night bus",
    "plans for the holidays", "a strange dream", "the new neighbours", "the football club",
    "a book on astronomy", "the concert in the park", "the rent", "a birthday party",
    "the vegetable garden", "a rumour about the harbour", "the broken clock",
    "a trip to the mountains",
)  # fmt: skip

USES: Final = ("is idle", "is being used", "is being cleaned", "is in use", "is being repaired")
"""What a thing is perceived to be; the first is what an idle observation says."""

THOUGHTS_OF_SELF: Final = (
    "{name} has a daily routine", "{name} is organised and has a plan for the day",
    "{name} works too much", "{name} likes to be among people", "{name} needs more time alone",
    "{name} is proud of the day's work", "{name} is worried about money",
    "{name} wants to learn something new", "{name} has close relationships with several people",
    "{name} is looking forward to the weekend", "{name} takes care of others",
    "{name} should keep a promise",
)  # fmt: skip

THOUGHTS_OF_FRIENDS: Final = (
    "{name} is a close friend", "{name} can be trusted",
    "{name} has plans of which little is known", "{name} was a great help",
    "{name} seems tired these days", "{name} is good company", "{name} owes an apology",
    "{name} shares many interests", "{name} is always busy",
    "{name} would enjoy the summer festival",
)  # fmt: skip

TRAITS: Final = (
    ("practical", "curious"),
    ("spontaneous", "organised"),
    ("reserved", "outgoing"),
    ("blunt", "kind"),
    ("calm", "sensitive"),
)
"""A low and a high word for each of the Big Five, in the order of `Persona`."""
