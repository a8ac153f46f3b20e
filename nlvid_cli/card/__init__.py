"""What a checkpoint fixes, as data: cards, architectures and the manifest. All other rooms build on it."""
