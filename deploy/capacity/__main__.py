"""``python -m deploy.capacity``: prints the tables, or renews them where they stand."""

import argparse
from dataclasses import fields, replace
from pathlib import Path

from deploy.capacity import tables
from deploy.capacity.inputs import Prices, Traffic
from deploy.capacity.sizing import SIZES, Assumptions

END = "<!-- / -->"


def renewed(text: str, given: Assumptions) -> str:
    """CAPACITY.md with every table between its marks as it is now."""
    for name, make in tables.TABLES.items():
        begin = f"<!-- {name} -->\n"
        before, found, rest = text.partition(begin)
        assert found, f"there is no place for the table {name}"
        text = before + begin + make(given) + "\n" + rest[rest.index(END) :]
    return text


def read_arguments(words: list[str] | None = None) -> argparse.Namespace:
    """The command line's."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("speakers", "viewers"):
        parser.add_argument(
            f"--{name}", type=int, nargs="+", default=SIZES, help="default: %(default)s"
        )
    parser.add_argument("--table", choices=tables.TABLES, action="append", help="only this")
    parser.add_argument("--write", type=Path, metavar="FILE", help="renew the tables in it")
    for kind in (Prices, Traffic):
        for each in fields(kind):
            parser.add_argument(
                f"--{each.name.replace('_', '-')}", type=float, default=each.default,
                help="default: %(default)s",
            )  # fmt: skip
    return parser.parse_args(words)


def assumptions(wish: argparse.Namespace) -> Assumptions:
    """What is assumed."""
    said = vars(wish)
    prices = replace(Prices(), **{each.name: said[each.name] for each in fields(Prices)})
    traffic = replace(Traffic(), **{each.name: said[each.name] for each in fields(Traffic)})
    return Assumptions(
        prices=prices, traffic=traffic, speakers=tuple(wish.speakers), viewers=tuple(wish.viewers)
    )


def main() -> None:
    """Prints or writes."""
    wish = read_arguments()
    given = assumptions(wish)
    if wish.write is not None:
        wish.write.write_text(renewed(wish.write.read_text(), given))
        return
    for name in wish.table or tables.TABLES:
        print(f"{name}\n\n{tables.TABLES[name](given)}\n")


if __name__ == "__main__":
    main()
