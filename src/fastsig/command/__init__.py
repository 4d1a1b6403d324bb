"""What ``python -m fastsig`` runs: nothing here is imported by a program that uses signals."""
