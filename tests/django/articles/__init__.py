"""An app with models."""
