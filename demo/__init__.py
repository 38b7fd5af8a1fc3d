"""An invented support agent's week, sent to a running instance: `python -m demo`."""
