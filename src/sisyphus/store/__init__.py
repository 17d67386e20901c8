"""The only room that speaks Redis: transitions in store.py, looking in reads.py."""
