"""Bring MLflow's database to the schema of this version, one pod at a time."""

import os

from mlflow.store.db.utils import _initialize_tables, _upgrade_db
from sqlalchemy import create_engine, inspect, text

engine = create_engine(os.environ["MLFLOW_BACKEND_STORE_URI"])
with engine.connect() as connection:
    # Replicas start together; the lock goes with the connection.
    connection.execute(text("SELECT pg_advisory_lock(hashtext('mlflow-migrations'))"))
    if inspect(connection).has_table("experiments"):
        _upgrade_db(engine)
    else:
        _initialize_tables(engine)
