"""One file that holds a recorded experiment: packed here, checked and unpacked anywhere."""
