"""Where and how each task runs: its image, and whether its result may be reused."""

from kfp.dsl import PipelineTask

from pipeline.container_images import DATA_IMAGE, TRAINER_IMAGE


def on_data_image(task: PipelineTask, *, cached: bool) -> PipelineTask:
    """Run without torch. ``cached``: equal arguments give an equal result, in every run."""
    return task.set_container_image(DATA_IMAGE).set_caching_options(cached)


def on_trainer_image(task: PipelineTask, *, cached: bool) -> PipelineTask:
    """Run with torch and MLflow. ``cached``: as for ``on_data_image``."""
    return task.set_container_image(TRAINER_IMAGE).set_caching_options(cached)
