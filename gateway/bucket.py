"""A token bucket: so many things a second, and a burst of a given size."""

from dataclasses import dataclass


@dataclass(slots=True)
class Bucket:
    """Full at first. Time is a parameter: any clock that never jumps."""

    a_second: float
    size: float
    at: float
    """When ``left`` was true."""
    left: float = 0.0

    def __post_init__(self) -> None:
        self.left = self.size

    def wait_s(self, now: float) -> float:
        """Seconds until one may be taken."""
        self.left = min(self.size, self.left + (now - self.at) * self.a_second)
        self.at = now
        return max(0.0, (1.0 - self.left) / self.a_second)

    def take(self) -> None:
        """Takes one, there or not: what is owed makes the next wait longer."""
        self.left -= 1.0

    def took(self, now: float) -> bool:
        """Takes one if it is there."""
        left = self.left + (now - self.at) * self.a_second
        self.at, self.left = now, left if left < self.size else self.size
        if self.left < 1.0:
            return False
        self.left -= 1.0
        return True
