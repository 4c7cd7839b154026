"""The operations of the machine, on plain arrays: rows are samples, columns are features, both C-contiguous."""
