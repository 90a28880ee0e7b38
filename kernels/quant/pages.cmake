# KV pages: the scale rule, tile permutations. Part of kernels_quant.
target_sources(intactkv_kernels_quant
  PRIVATE page_pack.cc page_quantizer.cc
  PUBLIC FILE_SET HEADERS FILES page_pack.h page_quantizer.h)
