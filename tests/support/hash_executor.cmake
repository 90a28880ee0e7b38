# intactkv::test_hash_executor: an Executor without a model, and the closed form of its answers. Include it where needed.
if(NOT TARGET intactkv::test_hash_executor)
  add_library(intactkv_test_hash_executor STATIC
    ${CMAKE_CURRENT_LIST_DIR}/hash_executor.cc ${CMAKE_CURRENT_LIST_DIR}/hash_oracle.cc)
  add_library(intactkv::test_hash_executor ALIAS intactkv_test_hash_executor)
  target_link_libraries(intactkv_test_hash_executor PUBLIC intactkv::engine_sched PRIVATE intactkv::warnings)
  target_include_directories(intactkv_test_hash_executor PUBLIC ${PROJECT_SOURCE_DIR})
endif()
