"""What people, models and tools said: which attributes hold it (keys.py), and how to read it in any dialect (payloads.py)."""
