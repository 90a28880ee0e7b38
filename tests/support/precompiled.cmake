# Half of a file's compile time is the same headers again: one precompiled set for the sources, one (with GoogleTest) for the
# tests. A set holds for one set of flags, so files with their own (the microkernels) and targets
# with their own (INTACTKV_OWN_FLAGS) go without.
function(intactkv_precompiled name)
  file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/${name}.cc "")
  add_library(${name} OBJECT ${CMAKE_CURRENT_BINARY_DIR}/${name}.cc)
  target_link_libraries(${name} PRIVATE intactkv::warnings absl::statusor absl::time)
  target_precompile_headers(${name} PRIVATE <algorithm> <cmath> <cstdint> <functional> <map> <memory> <optional> <span>
    <string> <string_view> <utility> <vector> <absl/status/statusor.h> <absl/time/time.h> ${ARGN})
endfunction()

# Every target in and below `directory` (but not below tests/, which has its own) uses `set`.
function(intactkv_use_precompiled directory set)
  get_property(targets DIRECTORY ${directory} PROPERTY BUILDSYSTEM_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(type ${target} TYPE)
    get_target_property(own_flags ${target} INTACTKV_OWN_FLAGS)
    if(NOT own_flags AND type MATCHES "^(STATIC_LIBRARY|EXECUTABLE)$")
      target_precompile_headers(${target} REUSE_FROM ${set})
    endif()
  endforeach()
  get_property(subdirectories DIRECTORY ${directory} PROPERTY SUBDIRECTORIES)
  foreach(subdirectory IN LISTS subdirectories)
    if(NOT subdirectory MATCHES "^${PROJECT_SOURCE_DIR}/(tests|proto)$")
      intactkv_use_precompiled(${subdirectory} ${set})
    endif()
  endforeach()
endfunction()
