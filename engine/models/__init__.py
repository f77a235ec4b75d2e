"""Speech models behind the `engine.models.base.SpeechModel` protocol."""
