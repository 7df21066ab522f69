# caravan_library(core SHARED SOURCES … PUBLIC … PRIVATE …): target caravan_core, alias Caravan::core.
function(caravan_warnings target)
  # An operator's optional views are left out of its designated initialisers on purpose.
  # GCC 12 warns of lengths in its own string header (its bug 105651) once that comes out of a precompiled header.
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wshadow -Wno-missing-field-initializers
    $<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds;-Wno-restrict;-Wno-stringop-overflow;-Wno-stringop-overread>
    $<$<BOOL:${CARAVAN_WERROR}>:-Werror>)
  if(CMAKE_UNITY_BUILD)  # of sources that are included by one: GCC takes them for headers
    target_compile_options(${target} PRIVATE $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:-Wno-subobject-linkage>)
  endif()
  if(CARAVAN_AUDIT)
    target_compile_definitions(${target} PRIVATE CARAVAN_AUDIT)
  endif()
endfunction()

# What most sources of the libraries read of fmt and the standard library, compiled once: a third of their compile time. What few
# read (nlohmann's) is not in it, for all would load it.
# Headers of the project are never in it, so a source still names what it uses of them.
# -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON builds without.
add_library(caravan_headers STATIC ${PROJECT_SOURCE_DIR}/cmake/headers.cpp)
target_compile_features(caravan_headers PUBLIC cxx_std_20)
target_link_libraries(caravan_headers PRIVATE fmt::fmt)
target_precompile_headers(caravan_headers PRIVATE <fmt/format.h> <algorithm> <array> <chrono> <cstdint>
  <filesystem> <functional> <map> <memory> <optional> <set> <span> <string> <string_view> <vector>)

function(caravan_library name kind)
  cmake_parse_arguments(arg "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "caravan_library(${name}): unknown arguments ${arg_UNPARSED_ARGUMENTS}")
  endif()
  add_library(caravan_${name} ${kind} ${arg_SOURCES})
  add_library(Caravan::${name} ALIAS caravan_${name})
  set_target_properties(caravan_${name} PROPERTIES EXPORT_NAME ${name})
  target_compile_features(caravan_${name} PUBLIC cxx_std_20)
  target_include_directories(caravan_${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(caravan_${name} PUBLIC ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
  caravan_warnings(caravan_${name})
  target_precompile_headers(caravan_${name} REUSE_FROM caravan_headers)
endfunction()
