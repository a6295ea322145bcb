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
MODELS: Final = {
    "promote": "Promote version",
    "reject": "Reject version",
    "roll_back": "Roll back to version",
    "reason": "Reason (kept for ever)",
    "needs_reason": "moving a version takes a reason, which is kept for ever",
    "title": "Models",
    "none": "There is no model yet. pm-app run or pm-app retrain makes the first.",
    "nobody": "No version scores: none has been promoted.",
    "scores": "Version",
    "since": "scores since",
    "learned": "learned from",
    "failures": "failures",
    "until": "until",
    "from_verdicts": "of them from verdicts",
    "waiting_title": "Waiting for approval",
    "waits_since": "made",
    "versions_title": "Versions",
    "version": "Version",
    "created": "Made",
    "strategy": "Strategy",
    "parameters": "Parameters",
    "decision": "Decision",
    "why": "Why",
    "standing": "Standing",
    "look": "Look at version",
    "shown": "newest of",
    "retrainings_title": "Newest retrainings",
    "no_retrainings": "There was no retraining yet.",
    "took": "Took",
    "agreement": "Agreement (tau)",
    "moved": "Units moved",
    "by_chance": "By chance (p)",
    "history_title": "Which version scored when",
    "history_note": "Rows are only ever added.",
    "at": "At",
    "what": "What",
    "figures_title": "Held-out figures of version",
    "figures_note": "All on the same rows, which no model has learned from; the best is bold.",
    "figure": "Figure",
    "guidance_title": "What guidance is worth",
    "unguided": "Guidance was not used: the network is the uniform one.",
    "with": "with guidance",
    "without": "without",
    "judged": "Guidance is",
    "better": "better",
    "worse": "worse",
    "same": "no different",
    "calibration_title": "Calibration",
    "calibration_note": (
        "Where a risk is told, so often the failure should come: held-out rows at the longest "
        "horizon, by tenths of the risk."
    ),
    "no_bins": "This version did not keep what came of its risks; later ones do.",
    "risk": "risk told",
    "came": "share that failed",
    "rows": "Rows",
    "importance_title": "Importance, and where the hidden units went, in version",
    "against": "against version",
    "importance_note": (
        "Bars are shares of predictive power with the interval that resampling gives (5 % to "
        "95 %), those before in grey. A block is as high as its tier's share of all units."
    ),
    "table": "As a table",
    "rank": "Rank",
    "sensor": "Sensor",
    "share": "Share",
    "spread": "±",
    "tier": "Tier",
    "units": "Units of the tier",
    "l1": "Penalty (L1)",
    "before": "before",
    "elsewhere": "The picture needs the state folder, which is not on this machine.",
    "again": "A second look:",
    "unknown": "version takes one of",
}
