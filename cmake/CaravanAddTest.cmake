# caravan_add_test(NAME SOURCES … [LIBRARIES …] [NP 1 2 …] [LABELS …] [TIMEOUT s]): a GoogleTest executable.
# With NP it is run under mpirun once for each rank count, as NAME.npN, and its main is tests/support/mpi_main.cpp.
# The target unit_tests builds those with the label unit.
# Others have the label sanitized too, and sanitized_tests builds them, unless tests/sanitized.sh says why not.
include(GoogleTest)
set(CARAVAN_REFERENCE_DIR "${PROJECT_SOURCE_DIR}/../shared/reference" CACHE PATH
    "Independent expected results; a test that finds none skips and says so")
set(CARAVAN_CASES_DIR "${PROJECT_SOURCE_DIR}/../shared/cases" CACHE PATH
    "Inputs that others met, with the right values; a test that finds none skips and says so")
# Ends what hangs. A busy machine needs many times what an idle one does; tests/check_times.py wants 5 times.
set(CARAVAN_TEST_TIMEOUT 600)
set(CARAVAN_MPIRUN ${MPIEXEC_EXECUTABLE})
if(CARAVAN_MPI_NAME MATCHES "^Open-MPI")  # MPICH's counts no cores, and binds nothing unless told to
  list(APPEND CARAVAN_MPIRUN --oversubscribe --bind-to none --mca btl self,vader)
endif()

# Of tests that tokenize or read texts: a build without tokenizers shows them as disabled.
function(caravan_needs_tokenizers)
  if(NOT CARAVAN_HAVE_TOKENIZERS)
    set_tests_properties(${ARGN} PROPERTIES DISABLED TRUE)
  endif()
endfunction()

# The same of tests whose jobs name the device host.
function(caravan_needs_host_device)
  if(NOT CARAVAN_HAVE_HOST_DEVICE)
    set_tests_properties(${ARGN} PROPERTIES DISABLED TRUE)
  endif()
endfunction()

add_custom_target(sanitized_tests)
add_custom_target(unit_tests)

function(caravan_test_environment test)
  set_property(TEST ${test} APPEND PROPERTY ENVIRONMENT
    OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1 OMP_NUM_THREADS=1
    CARAVAN_REFERENCE_DIR=${CARAVAN_REFERENCE_DIR} CARAVAN_CASES_DIR=${CARAVAN_CASES_DIR}
    CARAVAN_BINARY=$<TARGET_FILE:caravan>)
endfunction()

# A test is compiled more often than it is run for long: with -O1 that takes three quarters of the time.
function(caravan_test_options target)
  caravan_warnings(${target})
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
endfunction()

function(caravan_add_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;LIBRARIES;NP;LABELS" ${ARGN})
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "caravan_add_test(${name}): unknown arguments ${arg_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT ${CARAVAN_TEST_TIMEOUT})
  endif()
  add_executable(test_${name} ${arg_SOURCES})
  target_include_directories(test_${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(test_${name} PRIVATE Caravan::core caravan_plugin_dir fmt::fmt ${arg_LIBRARIES})
  target_compile_definitions(test_${name} PRIVATE CARAVAN_AUDIT)
  if("unit" IN_LIST arg_LABELS)
    add_dependencies(unit_tests test_${name})
  endif()
  set(headers caravan_test_headers)
  if("caravan_job_test" IN_LIST arg_LIBRARIES)
    set(headers caravan_job_test_headers)
  endif()
  target_precompile_headers(test_${name} REUSE_FROM ${headers})
  caravan_test_options(test_${name})
  if(NOT arg_NP)
    if(NOT "system" IN_LIST arg_LABELS AND NOT name MATCHES
       "^(mesh$|plan_|schedule|parallel_session|io_every_fault|io_isolated_file|run_memory|run_recompute)"
       AND NOT "${arg_LIBRARIES}" MATCHES "Caravan::jobs|caravan_bench|caravan_job_test")
      list(APPEND arg_LABELS sanitized)
      add_dependencies(sanitized_tests test_${name})
    endif()
    target_link_libraries(test_${name} PRIVATE GTest::gtest GTest::gmock GTest::gtest_main)
    add_test(NAME ${name} COMMAND test_${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS "${arg_LABELS}")
    caravan_test_environment(${name})
    return()
  endif()
  target_sources(test_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/support/mpi_main.cpp)
  target_link_libraries(test_${name} PRIVATE GTest::gtest GTest::gmock Caravan::parallel MPI::MPI_CXX)
  foreach(ranks IN LISTS arg_NP)
    add_test(NAME ${name}.np${ranks} COMMAND ${CARAVAN_MPIRUN} -n ${ranks} $<TARGET_FILE:test_${name}>)
    set_tests_properties(${name}.np${ranks} PROPERTIES TIMEOUT ${arg_TIMEOUT} PROCESSORS ${ranks}
      LABELS "mpi;np${ranks};${arg_LABELS}")
    caravan_test_environment(${name}.np${ranks})
  endforeach()
endfunction()
