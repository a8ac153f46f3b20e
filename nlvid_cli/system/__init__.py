"""The machine: interrupts, processors, files. Nothing of videos or models."""
