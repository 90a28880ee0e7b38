"""The documentation check finds a path that is gone, named in backticks or in a link."""

import pathlib
import tempfile
import unittest

import check_docs


class CheckDocsTest(unittest.TestCase):

    def test_paths(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name in ("engine/api/engine.h", "docs/glossary.md"):
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text("x\n")
            (root / "README.md").write_text("`engine/api/engine.h`, [words](docs/glossary.md#c), <https://a.b/c>, `/v1/models`\n")
            self.assertEqual(check_docs.check_tree(root), [])
            (root / "docs" / "life.md").write_text("see\n`engine/api/gone.h`\n[words](gone.md)\n")
            self.assertEqual(check_docs.check_tree(root), ["docs/life.md:2: engine/api/gone.h does not exist",
                                                           "docs/life.md:3: docs/gone.md does not exist"])


if __name__ == "__main__":
    unittest.main()
