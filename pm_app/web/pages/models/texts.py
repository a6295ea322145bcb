"""Texts of the models page."""

from typing import Final

DECISIONS: Final = {
    "first": "First version",
    "keep": "Kept",
    "refit": "Refitted",
    "rebuild": "Rebuilt",
    "not_enough_data": "Not enough data",
}
STANDINGS: Final = {
    "scores": "scores now",
    "waits": "waits for approval",
    "scored": "scored before",
    "never": "never scored",
}
KINDS: Final = {"promote": "promoted", "rollback": "rolled back to"}
SUSPICION: Final = "may know the outcome"
# Figures by how their names begin, as people say them; True where more is better.
FIGURES: Final = {
    "average_precision": ("Average precision", True),
    "brier": ("Brier score", False),
    "calibration_error": ("Calibration error", False),
    "seen_coming": ("Share of failures seen coming", True),
    "mode_accuracy": ("Failure mode named right, of those", True),
    "mode_macro_f1": ("Failure mode, macro F1", True),
    "rul_rmse_hours": ("Life left, RMSE in hours", False),
    "rul_mae_hours": ("Life left, mean error in hours", False),
    "rul_coverage": ("Life left inside its interval", None),
    "rul_width_hours": ("Width of that interval in hours", None),
    "last_rul_rmse_hours": ("Life left at an asset's newest row, RMSE in hours", False),
    "last_rul_mae_hours": ("Life left at an asset's newest row, mean error in hours", False),
    "f1": ("F1", True),
    "r2": ("R²", True),
    "rmse": ("RMSE", False),
    "mae": ("Mean error", False),
    "coverage": ("Inside its interval", None),
}
REPORTS: Final = {"control: uniform": "without guidance"}
