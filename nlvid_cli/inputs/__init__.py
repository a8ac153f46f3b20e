"""From what the user names to videos."""
