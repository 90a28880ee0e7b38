# KV pages: fp16 by bits, the scale rule, tile permutations. Part of kernels_quant.
target_sources(intactkv_kernels_quant
  PRIVATE page_fp16.cc page_pack.cc page_quantizer.cc
  PUBLIC FILE_SET HEADERS FILES page_fp16.h page_pack.h page_quantizer.h)
