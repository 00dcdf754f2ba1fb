"""How a GPU computes a network, for the user."""

from sanefit.components.foundation.machine.arithmetic import Arithmetic
from sanefit.components.foundation.schemas.networks import NetworkSettings


def describe_arithmetic(arithmetic: Arithmetic, network: NetworkSettings, gpu: str) -> str:
    """A line that says why products are not taken in bfloat16, where they are not; ``gpu``: its name."""
    match arithmetic.precision:
        case "bfloat16":
            how = "bfloat16 and float32 mixed"
        case "float16":
            how = "float16 and float32 mixed, the loss scaled: this GPU has no bfloat16"
        case "float32":
            how = "float32: this GPU has no bfloat16"
        case "tf32" if network.is_normed:
            how = "TF32: final.mixed_precision is off"
        case "tf32":
            how = f"TF32: {network.kind!r} has no batch norm, without which bfloat16 may be too coarse"
    return f"on {gpu}: {how}"
