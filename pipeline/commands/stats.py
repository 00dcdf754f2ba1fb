"""The command ``sanefit stats``."""

import json
import sys

from sanefit.pipeline.commands.options import Config, Json, Set
from sanefit.pipeline.settings.example_configs import DEFAULT_CONFIG

SHOWN = 3


def stats(config: Config = DEFAULT_CONFIG, set_: Set = None, as_json: Json = False) -> None:
    """Measure the channel means of a source's images, all or a sample, straight from its files; nothing is written."""
    from sanefit.components.channel_stats.api import measure_source
    from sanefit.components.foundation.machine.cores import usable_cores
    from sanefit.pipeline.settings.run_config import load_config

    settings = load_config(config, set_ or ())
    found = measure_source(settings.data, settings.stats, settings.seed, usable_cores())
    measured, sampled = found.measured, settings.stats.mode == "sampled"
    stream = sys.stderr if as_json else sys.stdout
    for reason in found.broken[:SHOWN]:
        print(f"warning: left out, {reason}", file=stream)
    if len(found.broken) > SHOWN:
        print(f"warning: {len(found.broken):,} files left out in all", file=stream)
    if found.warning:
        print(found.warning, file=stream)
    if settings.data.exclude is not None:
        print(f"left out {found.excluded:,} images that data.exclude names", file=stream)
    extent = f"{measured.images:,} of {found.population:,} images" + (", drawn at random" if sampled else "")
    print(extent, file=stream)
    for channel, (mean, std, half) in enumerate(zip(measured.mean, measured.std, measured.half_width, strict=True)):
        interval = f" ± {half:.3f} at {settings.stats.confidence:.0%} confidence" if sampled else ""
        of_255 = f"mean {mean:.4f}{interval}, std {std:.4f} of 255"
        print(f"channel {channel}: {of_255}; {mean / 255:.5f} and {std / 255:.5f} of 1", file=stream)
    if as_json:
        result = {
            "status": "succeeded",
            "images": measured.images,
            "population": found.population,
            "mean": measured.mean,
            "std": measured.std,
            "half_width": measured.half_width,
            "confidence": settings.stats.confidence if sampled else None,
            "left_out": len(found.broken),
            "excluded": found.excluded,
        }
        print(json.dumps(result))
