// The CPU backend: makes it, for one instruction set and a number of threads.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "kernels/api/backend.h"
#include "kernels/cpu/isa.h"

namespace intactkv {

// num_threads >= 1, the caller included (kInvalidArgument); isa at most HostIsa()
// (kInvalidArgument). Use SelectIsa() for the isa that INTACTKV_ISA asks for. `pin_threads`: each
// thread but the caller stays on a core of its own, as far as there are cores.
absl::StatusOr<std::unique_ptr<Backend>> MakeCpuBackend(Isa isa, int num_threads,
                                                        bool pin_threads = true);

}  // namespace intactkv
