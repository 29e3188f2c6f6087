"""``python -m segexp <command> [overrides]``."""

from segexp.cli import main

if __name__ == "__main__":
    main()
