# caravan_add_plugin(NAME SOURCES … [LIBRARIES …]): builds caravan-NAME.so, a plugin that exports one symbol.
# The same function serves the tree and, after find_package(Caravan), everybody else. Sources may be .cu where the project
# has enabled CUDA; the runtime is linked in, so that the plugin opens on a machine without a driver.
set(CARAVAN_PLUGIN_VERSION_SCRIPT ${CMAKE_CURRENT_LIST_DIR}/plugin.version)
# CMake 3.25 does not know that nvcc has C++20, which Caravan::core asks for.
if(CMAKE_CUDA_COMPILER_ID STREQUAL "NVIDIA" AND NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
endif()

function(caravan_add_plugin name)
  cmake_parse_arguments(arg "" "" "SOURCES;LIBRARIES" ${ARGN})
  if(arg_UNPARSED_ARGUMENTS OR NOT arg_SOURCES)
    message(FATAL_ERROR "caravan_add_plugin(${name}): needs SOURCES, takes LIBRARIES; got '${arg_UNPARSED_ARGUMENTS}'")
  endif()
  set(target caravan-${name})
  add_library(${target} MODULE ${arg_SOURCES})
  set_target_properties(${target} PROPERTIES
    PREFIX "" CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON
    CUDA_VISIBILITY_PRESET hidden CUDA_RUNTIME_LIBRARY Static LINKER_LANGUAGE CXX)
  set(warnings -Wall -Wextra -Wshadow -Wno-missing-field-initializers)
  list(JOIN warnings "," cuda_warnings)
  target_compile_options(${target} PRIVATE
    "$<$<COMPILE_LANGUAGE:CXX>:${warnings}>"
    "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=${cuda_warnings}>")
  target_link_options(${target} PRIVATE
    -Wl,--version-script=${CARAVAN_PLUGIN_VERSION_SCRIPT} -Wl,--no-undefined -Wl,-z,now -Wl,-z,relro)
  target_link_libraries(${target} PRIVATE Caravan::core ${arg_LIBRARIES})
  if(DEFINED CARAVAN_PLUGIN_OUTPUT_DIRECTORY)
    set_target_properties(${target} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CARAVAN_PLUGIN_OUTPUT_DIRECTORY})
  endif()
  if(CMAKE_UNITY_BUILD)  # of sources that are included by one: GCC takes them for headers
    target_compile_options(${target} PRIVATE $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:-Wno-subobject-linkage>)
  endif()
  if(CARAVAN_IN_TREE)
    set_target_properties(${target} PROPERTIES INSTALL_RPATH "$ORIGIN/../..")
    install(TARGETS ${target} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/caravan/plugins)
    set_property(GLOBAL APPEND PROPERTY CARAVAN_PLUGINS ${target})
  endif()
endfunction()

# caravan_add_plugin_check(NAME KIND/NAME [ARGUMENTS …] [RANKS n …]): a test of CTest that holds a component of the
# plugin caravan_add_plugin(NAME …) to what its kind promises, by `caravan plugins check` of the installation; under
# mpirun for each of RANKS, which dispatchers take. ARGUMENTS: keys of the component and
# options of the check.
function(caravan_add_plugin_check name component)
  cmake_parse_arguments(arg "" "" "ARGUMENTS;RANKS" ${ARGN})
  if(arg_UNPARSED_ARGUMENTS OR NOT component MATCHES "^[a-z_]+/[a-z0-9_]+$" OR NOT TARGET caravan-${name})
    message(FATAL_ERROR "caravan_add_plugin_check(${name} ${component}): takes the name of a plugin that "
      "caravan_add_plugin() has made, KIND/NAME, ARGUMENTS and RANKS; got '${arg_UNPARSED_ARGUMENTS}'")
  endif()
  if(NOT CARAVAN_EXECUTABLE)
    message(FATAL_ERROR "caravan_add_plugin_check(${name} ${component}): no executable caravan in this installation. Set CARAVAN_EXECUTABLE?")
  endif()
  set(command ${CARAVAN_EXECUTABLE} plugins check ${component} ${arg_ARGUMENTS})
  string(MAKE_C_IDENTIFIER "${arg_ARGUMENTS}" keys)
  set(test "check.${component}")
  if(keys)
    string(APPEND test ".${keys}")
  endif()
  set(tests "")
  if(NOT arg_RANKS)
    add_test(NAME ${test} COMMAND ${command})
    list(APPEND tests ${test})
  else()
    find_program(CARAVAN_PLUGIN_MPIRUN mpirun REQUIRED)
  endif()
  foreach(ranks IN LISTS arg_RANKS)
    add_test(NAME ${test}.np${ranks} COMMAND ${CARAVAN_PLUGIN_MPIRUN} -n ${ranks} ${command})
    set_tests_properties(${test}.np${ranks} PROPERTIES PROCESSORS ${ranks})
    list(APPEND tests ${test}.np${ranks})
  endforeach()
  set_tests_properties(${tests} PROPERTIES TIMEOUT 600 ENVIRONMENT "CARAVAN_PLUGIN_PATH=$<TARGET_FILE_DIR:caravan-${name}>")
endfunction()
