"""The static page: a folder with a name that importlib.resources can find in a wheel."""
