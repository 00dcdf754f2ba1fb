"""What a check says when it names the family of a fault: one of these words, in what it measured or in the fix."""

FAMILIES: dict[str, tuple[str, ...]] = {
    "squashed scores": ("stands before the cross-entropy", "after the output layer", "scores are bounded"),
    "missing activation": ("missing activation",),
    "saturating": ("saturating",),
    "dying": ("dying",),
    "collapsing": ("collapsing",),
    "exploding": ("exploding",),
    "vanishing": ("vanishing",),
    "bad initial weights": ("lower the initial weights", "the weights are too big"),
    "identical neurons": ("identical neurons",),
    "not registered": ("not registered",),
    "frozen": ("frozen",),
    "detached": ("detach", "no gradient reaches"),
    "images mix": ("images mix",),
    "batch norm": (
        "batch norm stays in evaluation",
        "momentum 0",
        "images mix",
        "training and evaluation scores differ",
    ),
    "random in evaluation": ("evaluation is random",),
    "training differs": ("training and evaluation scores differ",),
    "too much dropout": ("of the values",),
    "normalized twice": ("normalizing twice", "leave them alone in forward()"),
    "input ignored": ("input is ignored",),
    "bottleneck": ("bottleneck",),
    "wrong output": ("forward() returns", "scores of shape", "scores of type", "no scores for images", "wrong number"),
    "shortcut": ("a shortcut:",),
    "labels": ("shuffled", "of other images", "permuted"),
    "inputs hardly differ": ("hardly differ",),
    "rates too high": ("are all too high", "of the decades asked for"),
    "rates too low": ("are all too low", "of the decades asked for"),
    "regularization huge": ("regularization is huge",),
    "first layers get no gradient": ("no gradient reaches", "weights stay"),
    "not finite": ("not finite",),
    "non-differentiable": ("no gradient reaches", "weights stay", "scores of type"),
}


def words_of(families: tuple[str, ...]) -> tuple[str, ...]:
    """Any of them names one of these families."""
    return tuple(word for family in families for word in FAMILIES[family])
