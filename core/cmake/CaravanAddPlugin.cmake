# caravan_add_plugin(NAME SOURCES … [LIBRARIES …] [PROCESSORS …]): builds caravan-NAME.so, a plugin that exports one symbol.
# PROCESSORS: values of -march. Each level of x86-64 (x86-64-v2, -v3, -v4) is a library of its own, in a folder of that
# name beside the other plugins, and the widest that a processor has is taken when the program runs. One value of
# another kind ("native", "znver3") makes one library in the usual place, for such processors alone.
# Sets CARAVAN_PLUGIN_TARGETS to the targets made; where there are several, the target caravan-NAME stands for all.
# The same function serves the tree and, after find_package(Caravan), everybody else. Sources may be .cu where the project
# has enabled CUDA; the runtime is linked in, so that the plugin opens on a machine without a driver.
set(CARAVAN_PLUGIN_VERSION_SCRIPT ${CMAKE_CURRENT_LIST_DIR}/plugin.version)
# CMake 3.25 does not know that nvcc has C++20, which Caravan::core asks for.
if(CMAKE_CUDA_COMPILER_ID STREQUAL "NVIDIA" AND NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
endif()

function(caravan_add_plugin name)
  cmake_parse_arguments(arg "" "" "SOURCES;LIBRARIES;PROCESSORS" ${ARGN})
  if(arg_UNPARSED_ARGUMENTS OR NOT arg_SOURCES)
    message(FATAL_ERROR "caravan_add_plugin(${name}): needs SOURCES, takes LIBRARIES and PROCESSORS; got '${arg_UNPARSED_ARGUMENTS}'")
  endif()
  set(levels ${arg_PROCESSORS})
  list(FILTER levels INCLUDE REGEX "^x86-64-v[234]$")
  list(LENGTH arg_PROCESSORS processors)
  if(NOT levels)
    if(processors GREATER 1)
      message(FATAL_ERROR "caravan_add_plugin(${name}): PROCESSORS '${arg_PROCESSORS}' (several must be x86-64-v2, -v3 or -v4: which of "
        "them a processor has must be known when the program runs). One of another kind?")
    endif()
    _caravan_add_plugin_library(caravan-${name} "" "${arg_PROCESSORS}" "${arg_SOURCES}" "${arg_LIBRARIES}")
    set(CARAVAN_PLUGIN_TARGETS caravan-${name} PARENT_SCOPE)
    return()
  endif()
  if(NOT levels STREQUAL arg_PROCESSORS)
    message(FATAL_ERROR "caravan_add_plugin(${name}): PROCESSORS '${arg_PROCESSORS}' mixes levels of x86-64 with others (which of them a "
      "processor has must be known when the program runs). Levels only, or one of another kind?")
  endif()
  list(REMOVE_DUPLICATES levels)
  add_custom_target(caravan-${name} ALL)
  list(GET levels 0 first)
  set_target_properties(caravan-${name} PROPERTIES CARAVAN_PLUGIN_FOLDER $<TARGET_FILE_DIR:caravan-${name}.${first}>/..)
  set(targets "")
  foreach(level IN LISTS levels)
    _caravan_add_plugin_library(caravan-${name}.${level} ${level} ${level} "${arg_SOURCES}" "${arg_LIBRARIES}")
    set_target_properties(caravan-${name}.${level} PROPERTIES OUTPUT_NAME caravan-${name})
    add_dependencies(caravan-${name} caravan-${name}.${level})
    list(APPEND targets caravan-${name}.${level})
  endforeach()
  set(CARAVAN_PLUGIN_TARGETS ${targets} PARENT_SCOPE)
endfunction()

# One library of a plugin; FOLDER: below the folder of plugins, ARCH: of -march, both may be empty.
function(_caravan_add_plugin_library target folder arch sources libraries)
  add_library(${target} MODULE ${sources})
  # CMake 4 compiles sources of CUDA as one too, and kernels of several files have constants of one name.
  set(cuda_sources ${sources})
  list(FILTER cuda_sources INCLUDE REGEX "\\.cu$")
  if(cuda_sources)
    set_source_files_properties(${cuda_sources} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  endif()
  set_target_properties(${target} PROPERTIES
    PREFIX "" CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON
    CUDA_VISIBILITY_PRESET hidden CUDA_RUNTIME_LIBRARY Static LINKER_LANGUAGE CXX)
  set(warnings -Wall -Wextra -Wshadow -Wno-missing-field-initializers)
  list(JOIN warnings "," cuda_warnings)
  target_compile_options(${target} PRIVATE
    "$<$<COMPILE_LANGUAGE:CXX>:${warnings}>"
    "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=${cuda_warnings}>")
  if(arch)
    target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:-march=${arch}>" "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-march=${arch}>")
  endif()
  target_link_options(${target} PRIVATE
    -Wl,--version-script=${CARAVAN_PLUGIN_VERSION_SCRIPT} -Wl,--no-undefined -Wl,-z,now -Wl,-z,relro)
  target_link_libraries(${target} PRIVATE Caravan::core ${libraries})
  if(DEFINED CARAVAN_PLUGIN_OUTPUT_DIRECTORY)
    set_target_properties(${target} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CARAVAN_PLUGIN_OUTPUT_DIRECTORY}/${folder})
  elseif(folder)
    set_target_properties(${target} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/${folder})
  endif()
  if(CMAKE_UNITY_BUILD)  # of sources that are included by one: GCC takes them for headers
    target_compile_options(${target} PRIVATE $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:-Wno-subobject-linkage>)
  endif()
  if(CARAVAN_IN_TREE)
    set(up "$ORIGIN/../..")
    if(folder)
      set(up "$ORIGIN/../../..")
    endif()
    set_target_properties(${target} PROPERTIES INSTALL_RPATH "${up}")
    install(TARGETS ${target} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/caravan/plugins/${folder})
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
  get_target_property(folder caravan-${name} CARAVAN_PLUGIN_FOLDER)
  if(NOT folder)
    set(folder $<TARGET_FILE_DIR:caravan-${name}>)
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
  # Open MPI starts no more ranks than it counts slots unless it is told to: version 4, and 5.
  set_tests_properties(${tests} PROPERTIES TIMEOUT 600 ENVIRONMENT
    "CARAVAN_PLUGIN_PATH=${folder};OMPI_MCA_rmaps_base_oversubscribe=1;PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe;OMPI_MCA_mpi_yield_when_idle=1")
endfunction()
