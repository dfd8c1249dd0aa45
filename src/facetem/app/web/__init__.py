"""The page that `facetem serve` shows, over the same calls as the command line and Python."""
