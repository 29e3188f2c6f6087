"""Post-processing of predicted labels: components, holes, watershed."""
