"""The file check finds each fault it names, at both edges of each limit."""

import unittest

import check_files

HEADER = "// What a stranger needs to know about this file, in a sentence.\n#pragma once\n"


class CheckFilesTest(unittest.TestCase):

    def test_a_good_header_passes(self):
        self.assertEqual(check_files.check_file("engine/base/a.h", HEADER + "#include <vector>\n"), [])

    def test_a_header_without_pragma_once_fails(self):
        problems = check_files.check_file("engine/base/a.h", HEADER.replace("#pragma once", "#include <vector>"))
        self.assertEqual(problems, ["engine/base/a.h:1: a header's first directive is #pragma once"])

    def test_a_header_without_a_first_sentence_fails(self):
        self.assertEqual(len(check_files.check_file("engine/base/a.h", "#pragma once\n")), 1)

    def test_600_lines_pass_and_601_fail(self):
        self.assertEqual(check_files.check_file("a.cc", "int a;\n" * 600), [])
        self.assertEqual(check_files.check_file("a.cc", "int a;\n" * 601), ["a.cc:601: 601 lines; at most 600"])
        self.assertEqual(check_files.check_file("a.md", "line\n" * 601), [])

    def test_a_folder_says_what_it_is(self):
        name = "engine/sched/CMakeLists.txt"
        self.assertEqual(len(check_files.check_file(name, "# sched\n")), 1)
        self.assertEqual(check_files.check_file(name, "# engine/sched: who runs next. Knows no clock or kernel.\n"), [])

    def test_a_path_of_one_machine_fails(self):
        for text in ("cache = '" + "/ro" + "ot/.cache'", "see /ho" + "me/ann/x", "https://pypi" + ".org/simple"):
            self.assertEqual(len(check_files.check_file("README.md", text + "\n")), 1, text)
        self.assertEqual(check_files.check_file("README.md", "~/.cache/intactkv and /etc/os-release\n"), [])


if __name__ == "__main__":
    unittest.main()
