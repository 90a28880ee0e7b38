#The attention oracle.Knows no SIMD.
intactkv_layer(kernels_ref_attention SOURCES attention.cc HEADERS attention.h DEPS
                   intactkv::kernels_quant intactkv::engine_base)
