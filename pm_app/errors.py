"""Errors in two families: try again, or ask a person.

PmAppError
├── TransientError        the job tries again at its next turn
│   ├── SourceUnavailable     a folder or bucket cannot be reached now
│   ├── StoreUnavailable      the database does not answer now
│   │   └── NoStore               there is none yet, or one of an older program
│   └── Busy                  another process holds the state folder
└── TerminalError         a person must act
    ├── BadSettings           plant.toml is wrong; exit code 2
    ├── BadBatch              a file cannot be used; it is quarantined
    │   └── TornBatch             its end is missing; it may still be on its way
    ├── BadVersion            a stored model fails its own checks
    └── NotEnoughData         there is too little to learn from
"""


class PmAppError(Exception):
    """Any error this application raises on purpose; its text is written for a person."""


class TransientError(PmAppError):
    """A later attempt may succeed without anyone doing anything."""


class TerminalError(PmAppError):
    """A later attempt fails the same way until a person changes something."""


class SourceUnavailable(TransientError):
    """A source of batches cannot be reached now."""


class StoreUnavailable(TransientError):
    """The output store cannot be reached or written now."""


class NoStore(StoreUnavailable):
    """There is no output store yet, or one that the next run brings up to date."""


class Busy(TransientError):
    """Another process of this application holds the state folder."""


class BadSettings(TerminalError):
    """plant.toml, or a command's arguments, cannot be used."""


class BadBatch(TerminalError):
    """A batch cannot be used; the text names file, column and value."""


class TornBatch(BadBatch):
    """A file without its end: cut short, or still being written."""


class BadVersion(TerminalError):
    """A stored model version is damaged or does not do what it promised."""


class NotEnoughData(TerminalError):
    """There is too little to learn from; the text says what was needed and what came."""


def error_named(kind: str, words: str) -> PmAppError:
    """The error another process met, of the kind it named; a TerminalError where none fits."""
    kinds = {each.__name__: each for each in (BadSettings, BadVersion, TransientError)}
    return kinds.get(kind, TerminalError)(words)
