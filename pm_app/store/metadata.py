"""What all tables share: how keys are named, and how numbers and assets are kept."""

from sqlalchemy import BigInteger, Integer, MetaData, Text

metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    }
)

# SQLite numbers rows by itself only in a column typed exactly INTEGER.
NUMBER = BigInteger().with_variant(Integer(), "sqlite")

# Every database sorts assets by their code points, as Python does.
ASSET = Text().with_variant(Text(collation="C"), "postgresql")
