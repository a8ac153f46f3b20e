"""What a checkpoint fixes, as data: the ground that everything else stands on."""
