"""All checks, in the order in which they are run and shown: a check is a file in ``checks/`` and an entry here."""

from sanefit.components.sanity_checks.check import Check
from sanefit.components.sanity_checks.checks.activations_between import check_activations
from sanefit.components.sanity_checks.checks.carry_over import check_recommended_rate
from sanefit.components.sanity_checks.checks.first_loss import (
    check_first_loss,
    check_regularization,
    check_weight_decays,
)
from sanefit.components.sanity_checks.checks.gradient_steps import check_gradient_step
from sanefit.components.sanity_checks.checks.inputs import check_inputs
from sanefit.components.sanity_checks.checks.labels_and_splits import (
    check_labels,
    check_splits_alike,
    check_splits_apart,
)
from sanefit.components.sanity_checks.checks.learning_rates import check_learning_rates
from sanefit.components.sanity_checks.checks.modes import check_modes
from sanefit.components.sanity_checks.checks.overfit import SAMPLES, check_few_samples
from sanefit.components.sanity_checks.checks.raw_scores import check_raw_scores
from sanefit.components.sanity_checks.checks.searched_choices import check_searched_choices
from sanefit.components.sanity_checks.checks.shortcuts import check_shortcuts
from sanefit.components.sanity_checks.checks.signals import check_signals
from sanefit.components.sanity_checks.checks.symmetry import check_symmetry

CHECKS = (
    Check(
        name="labels",
        row="D4",
        title="labels are in range, classes in every split",
        reason="the loss looks a label up among K scores, and a class without images is neither learned nor measured",
        run=check_labels,
        blocking=True,
    ),
    Check(
        name="splits_apart",
        row="D4",
        title="no image is in two splits",
        reason="accuracy on images that were trained on measures memorization, not what holds for new images",
        run=check_splits_apart,
    ),
    Check(
        name="splits_alike",
        row="D4",
        title="splits are alike",
        reason="what is chosen on validation images must hold for images like those trained on",
        run=check_splits_alike,
    ),
    Check(
        name="raw_scores",
        row="L1",
        title="scores are raw",
        reason="the cross-entropy takes the softmax itself; squashed scores give flat gradients and a loss that "
        "cannot reach 0",
        run=check_raw_scores,
        blocking=True,
    ),
    Check(
        name="inputs_normalized",
        row="D1",
        title="inputs are around zero",
        reason="inputs of one sign give all weights of a neuron gradients of one sign, and descent zig-zags; inputs "
        "that hardly differ cannot be told apart",
        run=check_inputs,
    ),
    Check(
        name="neurons_differ",
        row="W1",
        title="neurons differ at the start",
        reason="identical neurons learn the same thing",
        run=check_symmetry,
    ),
    Check(
        name="activations_between",
        row="A1",
        title="activations stand between the layers",
        reason="layers without an activation between them can do no more than one layer",
        run=check_activations,
    ),
    Check(
        name="modes",
        row="B3",
        title="training and evaluation mode differ as they should",
        reason="batch norm uses the batch's statistics and dropout is random, but in training only: in evaluation a "
        "score must depend on its own image alone",
        run=check_modes,
    ),
    Check(
        name="gradient_step",
        row="L1",
        title="a step follows the gradient of the loss",
        reason="plain SGD moves each weight by minus the learning rate times the gradient of the loss",
        run=check_gradient_step,
        blocking=True,
    ),
    Check(
        name="overfit",
        row="S3",
        title=f"{SAMPLES} samples can be overfitted",
        reason="a network that cannot learn a few samples by heart cannot learn a data set",
        run=check_few_samples,
    ),
    Check(
        name="first_loss",
        row="S1",
        title="first loss is log K",
        reason="a network that knows nothing gives each of K classes probability 1/K",
        run=check_first_loss,
    ),
    Check(
        name="regularization",
        row="S2",
        title="loss rises with regularization",
        reason="the penalty is half of weight decay times the sum of squared weights, which is above 0",
        run=check_regularization,
    ),
    Check(
        name="weight_decays",
        row="L1",
        title="regularization leaves room to learn",
        reason="where the penalty outweighs the loss by far, descent shrinks the weights and learns nothing",
        run=check_weight_decays,
    ),
    Check(
        name="signals",
        row="W2-W5",
        title="signals stay alive through the layers",
        reason="gradients come through the activations: where these collapse, saturate or die, learning stops",
        run=check_signals,
    ),
    Check(
        name="learning_rates",
        row="R4",
        title="some learning rates work, and the search covers them",
        reason="too small a rate hardly lowers the loss, too large a rate makes it explode: search in between",
        run=check_learning_rates,
        after_probe=True,
    ),
    Check(
        name="searched_choices",
        row="L1",
        title="every choice of the search holds",
        reason="a trial is trained with its own initial weights, width, depth, dropout and optimizer",
        run=check_searched_choices,
        after_probe=True,
    ),
    Check(
        name="carries_over",
        row="M2",
        title="what is learned carries over to validation images",
        reason="a network learns permuted labels by heart too, but what it learns of them holds for no other image",
        run=check_recommended_rate,
        after_probe=True,
    ),
    Check(
        name="shortcuts",
        row="M2",
        title="the classes are in the pictures, not beside them",
        reason="a class that is written in a corner or a border is learned at once, and missing in the next image",
        run=check_shortcuts,
        after_probe=True,
    ),
)
