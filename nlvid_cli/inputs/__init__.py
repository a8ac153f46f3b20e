"""From what the user names to videos: files, folders, patterns, lists, tables and addresses."""
