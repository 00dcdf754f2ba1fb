"""The steps of a sanefit run, one folder each, in running order.

1. ``dataset_snapshot``       fetch, verify, split, pack into shards, fingerprint
2. ``channel_stats``          channel means and standard deviations of the training split
3. ``sanity_checks``          can this network learn these data? and with which learning rates?
4. ``hyperparameter_search``  plan trials, run packs of trials, rank, narrow
5. ``final_training``         the best setting, long; the test split is read here, once
6. ``model_registry``         MLflow run and model version, champion against challenger
7. ``run_report``             one HTML page with everything

``foundation`` is what every step may use. Steps never import each other. ``lecture`` is no step:
``sanefit lecture`` runs the slides' tables again with it.
"""
