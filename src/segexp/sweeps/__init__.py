"""Many runs from one command: one fresh process per job, a ledger that survives the driver, search with Optuna."""
