"""One module per rule; every module in here is found and run by itself."""
