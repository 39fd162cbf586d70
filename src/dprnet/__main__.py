"""``python -m dprnet``: the command line."""

from dprnet.cli import main

if __name__ == "__main__":
    main()
