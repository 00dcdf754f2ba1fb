"""A copy of a classifier whose weights are averages over the steps of a training."""

from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sanefit.components.foundation.classifiers.classifier import Classifier


def averaged_copy(classifier: Classifier, decay: float) -> AveragedModel | None:
    """Of its weights and batch norm's averages.

    Args:
        classifier: as it is before the first step.
        decay: of the exponential average, per step, in [0, 1); 0 gives None.
    """
    if not decay:
        return None
    return AveragedModel(classifier, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
