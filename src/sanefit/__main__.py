"""``python -m sanefit`` is the command ``sanefit``."""

from sanefit.pipeline.commands.main import main

if __name__ == "__main__":
    main()
