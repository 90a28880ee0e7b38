"""Checks that the paths which README and docs/ name exist. Standard library only.

    python3 tests/tidy/check_docs.py [ROOT]

A page that names a file that is gone is wrong, whatever else it says.
"""

import pathlib
import re
import sys

IN_BACKTICKS = re.compile(r"`((?:engine|kernels|server|proto|tests|scripts|docs|deploy)/[\w./-]*)`")
IN_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")


def check_page(root, page):
    problems = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        named = [root / path for path in IN_BACKTICKS.findall(line)]
        named += [page.parent / path for path in IN_LINK.findall(line) if "://" not in path]
        for path in named:
            if not path.exists():
                problems.append(f"{page.relative_to(root)}:{number}: {path.relative_to(root)} does not exist")
    return problems


def check_tree(root):
    pages = [page for page in (root / "README.md", *sorted((root / "docs").rglob("*.md"))) if page.is_file()]
    return [problem for page in pages for problem in check_page(root, page)]


def main():
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[2]
    problems = check_tree(root.resolve())
    print("\n".join(problems) if problems else "docs: every path they name exists")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
