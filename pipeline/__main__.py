"""``python -m pipeline`` is the command ``sanefit``."""

from pipeline.cli import main

if __name__ == "__main__":
    main()
