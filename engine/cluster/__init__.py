"""The model on other machines: copies of it as Ray actors, shared by any number of gateways."""
