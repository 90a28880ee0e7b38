#include "kernels/cpu/ops_kernels.h"

#define INTACTKV_OPS kAvx2OpsKernels
#include "kernels/cpu/ops.inc"
