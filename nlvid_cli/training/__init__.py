"""Fine-tuning on one's own classes; :func:`nlvid_cli.training.run.train` is the way in."""
