"""Many videos: find them, skip what is done, decode in processes of their own, look at them together, write rows."""
