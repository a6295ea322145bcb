"""Settings that a person would write for the simulator's exports of work orders."""

from connectors.events.form import EventsFormat

PARTS = {
    "bearing": ("*lager*", "*bearing*", "*brg*"),
    "seal": ("*GLRD*", "*Gleitring*", "*dichtung*", "*seal*"),
    "impeller": ("*Laufrad*", "*impeller*"),
    "electrical": ("*Motor*", "*Elektrik*", "*electrical*"),
}
SYSTEM = {"LAG": "bearing", "GLRD": "seal", "LFR": "impeller", "ELT": "electrical"}
ENDINGS = {"01": "", "T": " replaced", "R": " repaired", "B": " finding"}
KINDS = {
    "Stör*": "failure",
    "Ausfall": "failure",
    "Breakdown": "failure",
    "Malfunction": "failure",
    "Instandsetzung": "maintenance",
    "Wartung": "maintenance",
    "Reparatur": "maintenance",
    "IH": "maintenance",
    "Maintenance": "maintenance",
    "Repair": "maintenance",
    "PM": "maintenance",
    "Inspe?tion": "inspection",
    "Rundgang": "inspection",
    "Begehung": "inspection",
    "Walkaround": "inspection",
}
# Of work on a part: what was done to it, in two languages.
ROUTINE = {
    "lubrication": (
        "*geschmiert*",
        "*Abschmieren*",
        "*lwechsel*",
        "*greased*",
        "lubrication*",
        "oil change*",
    ),
    "cleaning": ("*gereinigt*", "Reinigung*", "*gespült*", "*cleaned*", "*flushed*"),
    "filter change": ("*filter*",),
    "overhaul": ("*überholung*", "*Revision*", "*overhaul*"),
    "": ("Rundgang*", "*i.O.", "*no finding", "*checked ok", "all ok"),
}
DONE = {
    "finding": ("*Befund*", "*finding*", "*auffällig*", "*beobachten*", "*prüfen*", "*to be *",
                "*slightly*", "*suspected*"),
    "replaced": ("*wechsel*", "*getauscht*", "*erneuert*", "*neu*", "*replaced*", "*new *",
                 "*changed*", "*rewound*"),
    "repaired": ("*nach*", "*instandgesetzt*", "*geschwei*", "*repar*", "*repaired*",
                 "*re?lapped*", "*welded*", "*retightened*", "*readjusted*"),
}  # fmt: skip
IGNORED = (
    *("Ersatz*", "ordered*", "Stunden*", "Gerüst*", "scaffold*", "Schild*", "Beleuchtung*"),
    *("*Rolltor*", "gate*"),
)


def codes() -> dict[str, str]:
    """Patterns in the order in which they are tried: what is more special comes first."""
    found = {
        f"{system}-{ending}": f"{part}{what}"
        for system, part in SYSTEM.items()
        for ending, what in ENDINGS.items()
    }
    found |= {"REV": "overhaul", "SCHM": "lubrication", "REIN": "cleaning", "FILT": "filter change"}
    found |= {pattern: code for code, patterns in ROUTINE.items() for pattern in patterns}
    for done, words in DONE.items():
        for part, names in PARTS.items():
            for word in words:
                for name in names:
                    found.setdefault(f"{name}{word[1:]}", f"{part} {done}")
                    found.setdefault(f"{word[:-1]}{name}", f"{part} {done}")
    found |= {name: part for part, names in PARTS.items() for name in names}
    return found


def order_format(**changes: object) -> EventsFormat:
    """The format of an export of the simulator."""
    usual: dict[str, object] = {
        "asset_column": "Equipment",
        "time_column": "Datum",
        "kind_column": "Art",
        "code_column": "Code",
        "text_column": "Kurztext",
        "order_column": "Auftrag",
        "changed_column": "Geändert am",
        "timezone": "Europe/Berlin",
        "kinds": tuple(KINDS.items()),
        "codes": tuple(codes().items()),
        "ignore_rows": IGNORED,
    }
    return EventsFormat(**{**usual, **changes})  # type: ignore[arg-type]
