"""What a checkpoint fixes, as data: cards, architectures and the manifest. Everything else stands on it."""
