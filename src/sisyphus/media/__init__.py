"""What we know about films: probing, progress, telling whole from damaged."""
