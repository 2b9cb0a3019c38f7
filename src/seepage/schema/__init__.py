"""What a saved result is: frozen values with their checks, one file for each kind of result."""
