"""Which processors of the machine a training gets, and what slows them down."""
