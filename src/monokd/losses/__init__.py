"""Detection terms and the weights of the tasks."""
