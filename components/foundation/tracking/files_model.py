"""The model that takes image files: MLflow runs this file, in a service that has nothing else of sanefit.

Files become pixels by the very functions that made the snapshot, whose sources are kept with the model.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from numpy.typing import NDArray

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.prepared_pixels import Preparation, pixels_for
from sanefit.components.foundation.unsure import REJECT_BELOW, label_names

FILE_COLUMN = "image"
PIXELS_MODEL = "pixels_model"


class FilesModel(mlflow.pyfunc.PythonModel):  # type: ignore[name-defined,misc]
    """From a column of encoded images to a label, its probability, and those of all classes."""

    def load_context(self, context: Any) -> None:
        """Load the model that takes pixels."""
        self.pixels_model = mlflow.pyfunc.load_model(context.artifacts[PIXELS_MODEL])

    def predict(self, context: Any, model_input: pd.DataFrame) -> pd.DataFrame:
        """One row for each image.

        Raises:
            MlflowException: when a file is no image that the model takes; a service answers HTTP 400.
        """
        config = context.model_config
        shape, names = tuple(config["image_shape"]), config["class_names"]
        preparation = Preparation.from_metadata(config)

        def pixels(numbered: tuple[int, bytes]) -> NDArray[np.uint8]:
            number, content = numbered
            return pixels_for(content, f"image {number}", preparation, shape)

        try:
            with ThreadPoolExecutor() as pool:
                batch = list(pool.map(pixels, enumerate(model_input[FILE_COLUMN])))
        except DataError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from None
        probabilities = self.pixels_model.predict(np.stack(batch))
        best, sure = probabilities.argmax(axis=1).tolist(), probabilities.max(axis=1).astype(float)
        return pd.DataFrame(
            {
                "label": label_names(best, sure.tolist(), names, config.get(REJECT_BELOW, 0.0)),
                "probability": sure,
                "probabilities": probabilities.astype(float).tolist(),
            }
        )


set_model(FilesModel())
