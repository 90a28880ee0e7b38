"""The layer check finds each arrow that the table does not draw, and nothing else."""

import pathlib
import tempfile
import unittest

import check_layers


class CheckLayersTest(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.write("engine/base/ids.h", "#pragma once\n#include <cstdint>\n")
        self.write("engine/sched/scheduler.h", '#include "engine/kvcache/block_pool.h"\n#include "engine/base/ids.h"\n')
        self.write("kernels/cpu/avx2/dot.cc", '#include "kernels/api/backend.h"\n#include "kernels/cpu/isa.h"\n')
        self.write("server/main/main.cc", '#include "engine/core/engine_core.h"\n#include "kernels/cpu/isa.h"\n')
        self.write("engine/sched/CMakeLists.txt", "intactkv_layer(engine_sched DEPS intactkv::engine_kvcache)\n")

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def problems(self):
        return check_layers.check_tree(self.root)

    def test_a_good_tree_passes(self):
        self.assertEqual(self.problems(), [])

    def test_an_added_arrow_fails(self):
        self.write("engine/sched/scheduler.cc", '#include "engine/sched/scheduler.h"\n#include "kernels/api/backend.h"\n')
        self.assertEqual(self.problems(),
                         ["engine/sched/scheduler.cc:2: the table draws no arrow engine/sched -> kernels/api"])

    def test_an_arrow_in_angle_brackets_fails_too(self):
        self.write("server/http/session.cc", "#  include <engine/api/engine.h>\n")
        self.assertEqual(self.problems(),
                         ["server/http/session.cc:1: the table draws no arrow server/http -> engine/api"])

    def test_an_arrow_from_a_subfolder_is_its_folders(self):
        self.write("kernels/cpu/avx512/dot.cc", '#include "kernels/ref/ops.h"\n')
        self.assertEqual(self.problems(),
                         ["kernels/cpu/avx512/dot.cc:1: the table draws no arrow kernels/cpu -> kernels/ref"])

    def test_only_the_two_wires_and_main_use_the_request_folder(self):
        for folder in ("server/openai", "server/grpc", "server/main"):
            self.write(f"{folder}/a.cc", '#include "server/request/raw_request.h"\n')
        self.assertEqual(self.problems(), [])
        self.write("server/http/a.cc", '#include "server/request/raw_request.h"\n')
        self.write("server/request/b.cc", '#include "server/openai/json.h"\n')
        self.assertEqual(self.problems(),
                         ["server/http/a.cc:1: the table draws no arrow server/http -> server/request",
                          "server/request/b.cc:1: the table draws no arrow server/request -> server/openai"])

    def test_a_relative_include_fails(self):
        self.write("engine/base/check.cc", '#include "absl/status/status.h"\n')
        self.assertEqual(self.problems(), [])
        self.write("engine/base/check.cc", '#include "check.h"\n#include "../base/ids.h"\n')
        self.assertEqual(len(self.problems()), 2)

    def test_a_folder_without_a_row_fails(self):
        self.write("engine/utils/strings.h", "#pragma once\n")
        self.assertEqual(self.problems(), ["engine/utils/strings.h:1: this folder has no row in the table"])

    def test_a_library_stays_in_its_folder(self):
        self.write("server/metrics/exporter.cc", "#include <prometheus/registry.h>\n")
        self.assertEqual(self.problems(), [])
        self.write("engine/core/engine_core.cc", "#include <prometheus/registry.h>\n")
        self.assertEqual(self.problems(), ["engine/core/engine_core.cc:1: prometheus/* is for server/metrics"])

    def test_an_added_link_fails(self):
        self.write("engine/sched/CMakeLists.txt", "# intactkv::kernels_cpu is not linked\n"
                   "intactkv_layer(engine_sched DEPS\n  intactkv::engine_kvcache intactkv::kernels_api)\n")
        self.assertEqual(self.problems(),
                         ["engine/sched/CMakeLists.txt:3: the table draws no arrow engine/sched -> kernels/api"])

    def test_the_table_has_no_cycle(self):
        def reach(folder, seen):
            for to in check_layers.MAY_INCLUDE[folder]:
                if to != check_layers.EVERYTHING and to not in seen:
                    seen.add(to)
                    reach(to, seen)
            return seen
        for folder in check_layers.MAY_INCLUDE:
            self.assertNotIn(folder, reach(folder, set()))


if __name__ == "__main__":
    unittest.main()
