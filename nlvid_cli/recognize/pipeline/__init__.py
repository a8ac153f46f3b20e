"""From files of videos to outputs of the network, many videos at a time, each decoded in a process of its own."""
