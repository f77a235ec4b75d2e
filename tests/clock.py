"""A clock for what takes one."""


class ClockDouble:
    """Time passes when a test says so."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
