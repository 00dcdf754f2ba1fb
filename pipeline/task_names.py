"""Names that the pipeline's definition gives, for those who watch its runs. Needs no kfp."""

TRAINING_PIPELINE = "sanefit-training"
SEARCH_STAGE = "sanefit-search-stage"
COMPARISON, OPENING, SANITY, CLOSING = "compare-with-finished-runs", "open-run", "sanity", "close-run"
STEPS = {  # what the lines of each task's step begin with
    "snapshot": "snapshot",
    "identify-training": "identity",
    COMPARISON: "compare",
    OPENING: "open run",
    "channel-stats": "stats",
    SANITY: "sanity",
    "run-report": "first report",
    "run-report-2": "report",
    "gate": "gate",
    "plan-trials": "plan",
    "train-pack": "pack",
    "rank-trials": "rank",
    "final-training": "train",
    "register-model": "register",
    CLOSING: "close run",
}
OF_A_STAGE = ("plan", "pack", "rank")  # the search has them once for each of
STAGES = {SEARCH_STAGE: "coarse", f"{SEARCH_STAGE}-2": "fine"}
