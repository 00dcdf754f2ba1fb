"""What a training does otherwise than the obvious."""

from dataclasses import dataclass

from torch.nn import functional

from sanefit.components.foundation.machine.arithmetic import CPU_ARITHMETIC, Arithmetic
from sanefit.components.foundation.training.loop.gradient_step import Loss, Step, gradient_step


@dataclass(frozen=True)
class TrainingOptions:
    """Each by default as in the obvious one.

    ``loss``: what is minimized, beside the penalty; records tell the cross-entropy, whatever it is. ``step``: takes
    each step. ``weight_averaging``: decay per step, in [0, 1), of an exponential average of the weights (Polyak &
    Juditsky 1992) and of batch norm's averages, which is what is validated and kept then; 0 is off. ``arithmetic``: of
    the forward pass in training.
    """

    loss: Loss = functional.cross_entropy
    step: Step = gradient_step
    weight_averaging: float = 0.0
    arithmetic: Arithmetic = CPU_ARITHMETIC


OBVIOUS = TrainingOptions()
