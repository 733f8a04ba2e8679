"""What a clip is on disk: video files, the EchoNet layout, tracings, and the prepared data set."""
