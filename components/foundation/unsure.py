"""When a model's answer is no class: its probability is too low. Served models take this file along."""

from collections.abc import Sequence

UNSURE = "unsure"
REJECT_BELOW = "reject_below"  # its key in a model's metadata; models of earlier versions have none, and always answer


def label_names(
    labels: Sequence[int], probabilities: Sequence[float], class_names: Sequence[str], reject_below: float
) -> list[str]:
    """What images are called.

    Args:
        labels: the most probable class of each.
        probabilities: of that class.
        class_names: by label.
        reject_below: an answer of a lower probability is ``unsure``.
    """
    return [
        class_names[label] if probability >= reject_below else UNSURE
        for label, probability in zip(labels, probabilities, strict=True)
    ]
