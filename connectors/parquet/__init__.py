"""Folders and buckets of Parquet files: readings (wide or long) and events.

A file is delivered when it has its final name: names that begin with "." or "_" or hold an
ending like ".tmp" or ".part" are taken as unfinished. Any `pyarrow.fs` address is read: a
plain path, file://, s3://, gs://, abfs://, hdfs://.
"""

from connectors.parquet.events import ParquetEvents
from connectors.parquet.files import BatchDescription
from connectors.parquet.readings import ParquetReadings

__all__ = ["BatchDescription", "ParquetEvents", "ParquetReadings"]
