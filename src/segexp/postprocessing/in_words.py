"""Post-processing steps in words, for protocols and messages."""

from segexp.postprocessing.postprocess import Steps


def in_words(steps: Steps) -> str:
    """Describe steps in words, such as "min_size (size=30), fill_holes"; "none" where there are none."""
    words = []
    for name, settings in steps.items():
        values = ", ".join(f"{key}={value}" for key, value in settings.items())
        words.append(f"{name} ({values})" if settings else name)
    return ", ".join(words) or "none"
