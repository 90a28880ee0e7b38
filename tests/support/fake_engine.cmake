# intactkv::test_fake_engine: an Engine and a TextCodec without a model, for tests of the server.
if(NOT TARGET intactkv_test_fake_engine)
  set(dir ${PROJECT_SOURCE_DIR}/tests/support)
  add_library(intactkv_test_fake_engine STATIC
    ${dir}/fake_engine.cc ${dir}/fake_engine.h ${dir}/fake_text_codec.cc ${dir}/fake_text_codec.h)
  target_include_directories(intactkv_test_fake_engine PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(intactkv_test_fake_engine
    PUBLIC intactkv::engine_api intactkv::engine_base absl::synchronization Threads::Threads
    PRIVATE intactkv::warnings)
  add_library(intactkv::test_fake_engine ALIAS intactkv_test_fake_engine)
endif()
