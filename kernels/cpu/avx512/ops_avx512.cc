#include "kernels/cpu/ops_kernels.h"

#define INTACTKV_OPS kAvx512OpsKernels
#include "kernels/cpu/ops.inc"
