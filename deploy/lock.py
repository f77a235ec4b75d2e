"""Writes the versions that images are built with: those installed here, which the tests ran with.

``make lock``, that is ``python deploy/lock.py > deploy/constraints.txt``. Only what Scribewire and
its extra ``kuberay`` need is listed, with all that those need in turn.
"""

from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def needed(name: str, extras: frozenset[str], found: dict[str, str]) -> dict[str, str]:
    """Adds what a distribution needs on this platform, by its name, with the version installed."""
    for line in distribution(name).requires or []:
        requirement = Requirement(line)
        marker = requirement.marker
        if marker and not any(marker.evaluate({"extra": each}) for each in extras | {""}):
            continue
        other = canonicalize_name(requirement.name)
        known = other in found
        try:
            found[other] = distribution(other).version.partition("+")[0]
        except PackageNotFoundError:  # of another platform's wheels
            continue
        if not known or requirement.extras:
            needed(other, frozenset(requirement.extras), found)
    return found


def main() -> None:
    """Prints the constraints, one a line."""
    found = needed("scribewire", frozenset({"kuberay"}), {})
    print("# Written by `make lock`; what the images are built with.")
    for name, version in sorted(found.items()):
        if name != "scribewire":
            print(f"{name}=={version}")


if __name__ == "__main__":
    main()
