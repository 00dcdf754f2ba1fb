"""What a snapshot holds, in lines."""

from collections.abc import Sequence

from sanefit.components.foundation.image_dataset.sources.class_folders import NO_PICTURE
from sanefit.components.foundation.schemas.images import Manifest, PassedOver
from sanefit.components.foundation.step_lines.step_log import Say

SHOWN = 3


def describe(manifest: Manifest, passed_over: Sequence[PassedOver], say: Say) -> None:
    """Say in lines what a snapshot holds, and what of its source it does not.

    Args:
        manifest: of the snapshot, which may be an earlier one of the same images.
        passed_over: files that are not taken now.
        say: prints a line.
    """
    totals = {split: sum(counts.values()) for split, counts in manifest.images_per_class.items()}
    height, width, channels = manifest.image_shape
    say(
        f"{sum(totals.values()):,} images of {width}x{height}x{channels} in {len(manifest.class_names)} classes: "
        + ", ".join(f"{count:,} {split}" for split, count in totals.items())
    )
    for passed in passed_over:
        level = "" if passed.reason.startswith(NO_PICTURE) else "warning: "  # a file of notes is nothing to worry about
        plural = "s" * (passed.files > 1)
        say(f"{level}passed over {passed.files:,} file{plural}, as {passed.example}: {passed.reason}")
    if manifest.duplicates:
        say(f"left out {manifest.duplicates:,} duplicates: their class has the same image already")
    if manifest.excluded:
        example = manifest.excluded[0].path
        say(f"left out {len(manifest.excluded):,} images that data.exclude names, or copies of them, as {example}")
    _describe_near_duplicates(manifest, say)
    for conflict in manifest.label_conflicts[:SHOWN]:
        say(
            f"warning: label conflict, the same image in classes {', '.join(conflict.class_names)}: "
            f"{', '.join(conflict.paths[:SHOWN])}; left out"
        )
    if len(manifest.label_conflicts) > SHOWN:
        say(f"warning: {len(manifest.label_conflicts):,} label conflicts in all; the manifest lists them")
    for bad in manifest.quarantined[:SHOWN]:
        say(f"warning: quarantined, {bad.reason}")
    if len(manifest.quarantined) > SHOWN:
        say(f"warning: {len(manifest.quarantined):,} files quarantined in all; the manifest lists them")
    for split in ("validation", "test"):
        if absent := [name for name, count in manifest.images_per_class[split].items() if count == 0]:
            say(f"warning: no {split} image of class {', '.join(absent)}")
    say(f"fingerprint {manifest.fingerprint[:16]}")


def _describe_near_duplicates(manifest: Manifest, say: Say) -> None:
    if not manifest.near_duplicates:
        return
    first, pairs = manifest.near_examples[0], manifest.near_duplicates
    example = f"{first.paths[0]} and {first.paths[1]}"
    if manifest.near_leaks:
        say(
            f"warning: {pairs:,} pairs of images are nearly the same, as {example}; the source has some in its "
            "training split and in one that judges it, which flatters the accuracy"
        )
    else:
        say(f"{pairs:,} pairs of images are nearly the same, as {example}; those of a pair share a split")
    if len(set(first.class_names)) > 1:
        say(f"warning: nearly the same image in classes {first.class_names[0]} and {first.class_names[1]}: {example}")
