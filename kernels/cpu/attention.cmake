# KV pools and attention over KV pages: page bytes in, attention out. Knows nothing of requests.
intactkv_layer(kernels_cpu_attention
  SOURCES attn_scalar.cc attn_table.cc avx2/attn_avx2.cc avx512/attn_avx512.cc kv_attention.cc
          kv_plan.cc kv_pool.cc
  HEADERS attn_kernels.h kv_plan.h kv_pool.h
  DEPS intactkv::kernels_cpu intactkv::kernels_api intactkv::kernels_quant intactkv::engine_base)
set(INTACTKV_AVX2_FLAGS -mavx2 -mfma -mf16c)
set(INTACTKV_AVX512_FLAGS ${INTACTKV_AVX2_FLAGS} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni)
# -O3 for the complete unrolling of register tiles, in every build type but Debug. g++ would reorder the sums
# of an unrolled tile until they no longer fit its registers.
set(INTACTKV_KERNEL_O3 $<$<NOT:$<CONFIG:Debug>>:-O3> $<$<CXX_COMPILER_ID:GNU>:-fno-tree-reassoc>)
set_source_files_properties(attn_scalar.cc PROPERTIES COMPILE_OPTIONS "${INTACTKV_KERNEL_O3}" SKIP_PRECOMPILE_HEADERS ON)
# g++ 12 takes the undefined upper halves of its own AVX-512 intrinsics for our variables.
set(INTACTKV_UNDEFINED_IS_MEANT $<$<CXX_COMPILER_ID:GNU>:-Wno-uninitialized>)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set_source_files_properties(avx2/attn_avx2.cc PROPERTIES
    COMPILE_OPTIONS "${INTACTKV_AVX2_FLAGS};${INTACTKV_KERNEL_O3}" SKIP_PRECOMPILE_HEADERS ON)
  set_source_files_properties(avx512/attn_avx512.cc PROPERTIES
    COMPILE_OPTIONS "${INTACTKV_AVX512_FLAGS};${INTACTKV_KERNEL_O3};${INTACTKV_UNDEFINED_IS_MEANT}" SKIP_PRECOMPILE_HEADERS ON)
endif()
