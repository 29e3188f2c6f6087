"""Its place lets pytest find my_project."""
