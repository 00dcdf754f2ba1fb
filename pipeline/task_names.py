"""Names that the pipeline's definition gives, for those who watch its runs. Needs no kfp."""

TRAINING_PIPELINE = "sanefit-training"
SEARCH_STAGE = "sanefit-search-stage"
COMPARISON, SANITY, CLOSING = "compare-with-finished-runs", "sanity", "close-run"
STEPS = {  # what the lines of each task's step begin with
    "snapshot": "snapshot",
    "identify-training": "identity",
    COMPARISON: "compare",
    "open-run": "open run",
    "channel-stats": "stats",
    SANITY: "sanity",
    "run-report": "report",
    "gate": "gate",
    "plan-trials": "plan",
    "train-pack": "pack",
    "rank-trials": "rank",
    "final-training": "train",
    "register-model": "register",
    CLOSING: "close run",
}
STAGES = {SEARCH_STAGE: "coarse", f"{SEARCH_STAGE}-2": "fine"}
