"""Qwen3-ASR: the same text as the offline model, for the cost of the new audio."""
