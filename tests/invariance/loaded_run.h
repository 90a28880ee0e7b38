// One cell of the grid of load, run: the observed request among others that fill the pool and, if
// the cell says so, take its pages away.
#pragma once

#include "tests/invariance/load_grid.h"
#include "tests/invariance/tiny_server.h"

namespace intactkv::test {

// Failures: other bits than the answer alone, or load that is not what the cell's name says.
void ExpectSoloUnderLoad(const Cell& cell, Isa isa, int32_t seed);

}  // namespace intactkv::test
