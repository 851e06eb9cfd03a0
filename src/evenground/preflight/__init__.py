"""What this machine can run, in words, before anything is trained."""
