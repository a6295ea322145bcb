"""Words of people in work orders: what a kind and a code of ours look like in an export.

German and English, short and sloppy, with what makes them hard to tell apart: bearings are also
checked, greased and ordered, and a seal may be that of a gate.
"""

from typing import Final

# By kind, then language: German, English.
KIND_TEXTS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "failure": (("Störung", "Störmeldung", "Ausfall", "STÖRUNG"), ("Breakdown", "Malfunction")),
    "maintenance": (
        ("Instandsetzung", "Wartung", "Reparatur", "IH"),
        ("Maintenance", "Repair", "PM"),
    ),
    "inspection": (("Inspektion", "Rundgang", "Begehung"), ("Inspection", "Walkaround")),
}
# What a system of codes calls ours; inspections without a finding have none.
SYSTEM_CODES: Final[dict[str, str]] = {
    "bearing": "LAG-01",
    "seal": "GLRD-01",
    "impeller": "LFR-01",
    "electrical": "ELT-01",
    "bearing replaced": "LAG-T",
    "seal replaced": "GLRD-T",
    "impeller replaced": "LFR-T",
    "electrical replaced": "ELT-T",
    "bearing repaired": "LAG-R",
    "seal repaired": "GLRD-R",
    "impeller repaired": "LFR-R",
    "electrical repaired": "ELT-R",
    "overhaul": "REV",
    "lubrication": "SCHM",
    "cleaning": "REIN",
    "filter change": "FILT",
    "bearing finding": "LAG-B",
    "seal finding": "GLRD-B",
    "impeller finding": "LFR-B",
    "electrical finding": "ELT-B",
}
# By code, then language: the short text of an order.
ORDER_TEXTS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "bearing": (
        ("Lagerschaden AS", "Lager heiß gelaufen", "Lager def.", "Pumpe laut, Lager fest"),
        ("bearing seized", "bearing failure DE", "noisy, bearing gone"),
    ),
    "seal": (
        ("GLRD undicht", "Gleitringdichtung defekt", "Leckage an Wellendichtung"),
        ("mech. seal leaking", "seal failed", "leak at shaft seal"),
    ),
    "impeller": (
        ("Laufrad beschädigt", "keine Förderleistung, Laufrad verschlissen", "Laufrad lose"),
        ("impeller damaged", "no flow - impeller worn", "impeller broken"),
    ),
    "electrical": (
        ("Motor ausgelöst, Wicklungsschluss", "Motorwicklung def.", "Elektrik: Motor tot"),
        ("motor tripped, winding fault", "electrical failure motor", "motor dead"),
    ),
    "bearing replaced": (
        ("Lager gewechselt", "Lagerwechsel", "Wälzlager AS+BS erneuert", "neues Lager eingebaut"),
        ("bearing replaced", "new bearings fitted", "brg changed"),
    ),
    "seal replaced": (
        ("GLRD getauscht", "Gleitringdichtung erneuert", "Dichtungswechsel Welle"),
        ("mech. seal replaced", "new seal fitted", "seal changed"),
    ),
    "impeller replaced": (
        ("Laufrad getauscht", "neues Laufrad montiert", "Laufradwechsel"),
        ("impeller replaced", "new impeller fitted"),
    ),
    "electrical replaced": (
        ("Motor neu gewickelt", "Motor getauscht", "Motorwechsel"),
        ("motor replaced", "motor rewound"),
    ),
    "bearing repaired": (
        ("Lager nachgestellt", "Lager instandgesetzt", "Lagersitz nachgearbeitet"),
        ("bearing repaired", "bearing readjusted"),
    ),
    "seal repaired": (
        ("GLRD nachgesetzt", "Dichtung nachgezogen", "Gleitringdichtung instandgesetzt"),
        ("seal repaired", "seal re-lapped"),
    ),
    "impeller repaired": (
        ("Laufrad geschweißt", "Laufrad nachgewuchtet", "Laufrad instandgesetzt"),
        ("impeller welded", "impeller repaired"),
    ),
    "electrical repaired": (
        ("Motorklemmen nachgezogen", "Motor repariert"),
        ("motor repaired", "motor terminals retightened"),
    ),
    "overhaul": (
        ("Generalüberholung", "Große Revision", "Revision Pumpe komplett"),
        ("complete overhaul", "overhaul", "major revision"),
    ),
    "lubrication": (
        ("Lager nachgeschmiert", "Abschmieren n. Plan", "Ölwechsel"),
        ("bearing greased", "lubrication round", "oil change"),
    ),
    "cleaning": (
        ("Pumpe gereinigt", "Reinigung außen", "Laufrad gespült"),
        ("cleaned", "pump cleaned outside", "impeller flushed"),
    ),
    "filter change": (
        ("Filter getauscht", "Filterwechsel Sperrwasser GLRD"),
        ("filter changed", "seal water filter changed"),
    ),
    "inspection": (
        ("Rundgang o.B.", "Lager geprüft, i.O.", "GLRD geprüft i.O."),
        ("inspection, no finding", "bearing checked ok", "all ok"),
    ),
    "bearing finding": (
        ("Lager auffällig, tauschen", "Befund: Lager rauh"),
        ("finding: bearing rough", "bearing to be replaced"),
    ),
    "seal finding": (
        ("Befund: GLRD tropft", "Dichtung tropft leicht, beobachten"),
        ("finding: seal weeping", "seal dripping slightly"),
    ),
    "impeller finding": (
        ("Befund: Laufrad erodiert", "Förderhöhe niedrig, Laufrad prüfen"),
        ("finding: impeller eroded", "low head, impeller suspected"),
    ),
    "electrical finding": (
        ("Befund: Motorwicklung Isolation niedrig",),
        ("finding: motor insulation low",),
    ),
}
# Equipment and text of orders that are about no pump, or about nothing that happened to one.
UNRELATED: Final[tuple[tuple[str, str], ...]] = (
    ("HALLE-2", "Beleuchtung Halle 2 repariert"),
    ("HALLE-2", "Dichtung Rolltor erneuert"),
    ("TOR-1", "gate motor replaced"),
    ("", "Ersatzlager bestellt"),
    ("", "ordered spare seals"),
    ("", "Stundenzettel Revision"),
    ("", "Gerüst gestellt"),
    ("", "scaffold removed"),
    ("", "Schild erneuert"),
)


def transcribed(text: str) -> str:
    """The text as somebody without umlauts types it."""
    for letter, letters in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ß", "ss"), ("Ö", "Oe")):
        text = text.replace(letter, letters)
    return text


def misspelled_assets(asset: str) -> tuple[str, ...]:
    """What people write for an asset called "pump-07"; a person knows which one is meant."""
    stem, _, number = asset.rpartition("-")
    return (
        asset.upper(),
        f"{stem} {number}",
        f"{stem}{number}",
        f" {asset} ",
        f"{stem.capitalize()}-{int(number)}",
        f"Pumpe {int(number)}",
    )
