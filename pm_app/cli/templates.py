"""Files that `pm-app init` writes."""

PLANT_TOML = """\
# What this plant is called, and where its clock stands (for schedules and display; data is UTC).
[plant]
name = "{name}"
timezone = "UTC"               # e.g. "Europe/Berlin"
state = "state"                # models, pane history and the default store live here

# Parquet files of sensor readings: one row a reading, one numeric column a sensor.
[readings]
uri = "readings"               # a folder beside this file, or s3://bucket/prefix
asset_column = "asset_id"
time_column = "timestamp"
# timezone = "Europe/Berlin"   # only if the timestamps carry none
# sensors = ["vibration"]      # default: every numeric column

# Parquet files of events: asset_id, timestamp, kind, code.
# kind is failure, maintenance, error or inspection.
[events]
uri = "events"

[features]
pane = "10min"                 # readings are summed up over this long
windows = ["1h", "8h", "24h"]  # how far back a prediction looks
# regime_columns = ["load"]    # settings that make machines run differently; default: found
memory = ["change", "3d"]      # and beyond: change since the life began, means that fade by half
beginning = "3d"               # how much of a life change is measured against

[target]
horizons = ["24h", "72h"]      # "how likely does it fail within ..."
rul_cap = "30d"                # a longer life left is shown as "more than this"

[scoring]
every = "30s"                  # how often new files are looked for

[retraining]
cron = "0 2 * * *"             # every night at 2, plant time
"""
