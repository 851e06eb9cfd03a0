"""What the rules of the workflow need, as typed functions: no rule computes anything."""
