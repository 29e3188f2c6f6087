"""Post-processing steps in words, for protocols and messages."""

from collections.abc import Mapping


def in_words(steps: Mapping[str, Mapping[str, object]]) -> str:
    """Describe steps in words, such as "min_size (size=30), fill_holes"; "none" where there are none."""
    words = []
    for name, settings in steps.items():
        values = ", ".join(f"{key}={value}" for key, value in settings.items())
        words.append(f"{name} ({values})" if settings else name)
    return ", ".join(words) or "none"
