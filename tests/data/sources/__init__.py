def names(source):
    return [entry.name for entry in source.entries()]
