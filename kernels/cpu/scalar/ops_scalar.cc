#include "kernels/cpu/ops_kernels.h"

#define INTACTKV_OPS kScalarOpsKernels
#include "kernels/cpu/ops.inc"
