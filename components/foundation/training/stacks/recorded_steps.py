"""Steps of a stack as recorded CUDA graphs: one launch instead of hundreds, which small networks wait for."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

EAGER_FIRST = 3  # steps before a recording: libraries choose their kernels and take their memory in these


@dataclass
class RecordedSteps:
    """Takes the first steps of each kind as they are written, records the next, and replays it from then on.

    A kind is a size of batch and a generation of tensors. A recording holds addresses, so what a step reads and writes
    must stay where it lies within a generation. Needs a GPU.
    """

    _seen: dict[tuple[int, int], int] = field(default_factory=dict)
    _graphs: dict[tuple[int, int], tuple[torch.cuda.CUDAGraph, Tensor]] = field(default_factory=dict)

    def __call__(self, step: Callable[[Tensor], None], indices: Tensor, generation: int) -> None:
        """Take one step over the images with these numbers, int64 (images,), on the GPU."""
        kind = (len(indices), generation)
        self._seen[kind] = self._seen.get(kind, 0) + 1
        if self._seen[kind] <= EAGER_FIRST:
            self._take_aside(step, indices)
            return
        if kind not in self._graphs:
            self._forget_before(generation)
            self._graphs[kind] = self._record(step, indices)
        graph, numbers = self._graphs[kind]
        numbers.copy_(indices)
        graph.replay()

    def _take_aside(self, step: Callable[[Tensor], None], indices: Tensor) -> None:
        """On a stream of its own, as recordings need of the steps before them."""
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            step(indices)
        torch.cuda.current_stream().wait_stream(aside)

    def _record(self, step: Callable[[Tensor], None], indices: Tensor) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        """A recording takes no step: nothing is computed in it."""
        graph, numbers = torch.cuda.CUDAGraph(), indices.clone()
        with torch.cuda.graph(graph):
            step(numbers)
        return graph, numbers

    def _forget_before(self, generation: int) -> None:
        """Recordings of tensors that were replaced hold their memory."""
        self._graphs = {kind: graph for kind, graph in self._graphs.items() if kind[1] == generation}
