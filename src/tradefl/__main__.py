"""``python -m tradefl``."""

from tradefl.cli import main

if __name__ == "__main__":
    main()
