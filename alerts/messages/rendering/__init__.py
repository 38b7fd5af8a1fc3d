"""A notification in the forms that channels need, one module each."""
