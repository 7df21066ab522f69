# The fuzzers (preset fuzz, clang): fuzz_<target>, one executable a reader. Only the folders that readers live in are
# compiled, with sanitizers; nothing of the ordinary build is. A static library gives each executable what it uses.
set(CARAVAN_SANITIZE -fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=undefined
  -fno-omit-frame-pointer)
# HDF5 itself is not instrumented, and AddressSanitizer does not live within the limits of the process that runs it.
set(CARAVAN_FUZZ_ISOLATED foreign_hdf5)

function(caravan_fuzz_library name)
  cmake_parse_arguments(arg "" "" "FOLDERS;SOURCES;FLAGS" ${ARGN})
  set(sources ${arg_SOURCES})
  foreach(folder IN LISTS arg_FOLDERS)
    file(GLOB found CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*.cpp)
    list(APPEND sources ${found})
  endforeach()
  add_library(${name} STATIC EXCLUDE_FROM_ALL ${sources} ${CARAVAN_FUZZ_SUPPORT})
  target_compile_features(${name} PUBLIC cxx_std_20)
  target_compile_options(${name} PUBLIC -fsanitize=fuzzer-no-link ${arg_FLAGS})
  target_compile_definitions(${name} PUBLIC CARAVAN_HAVE_SECCOMP CARAVAN_HAVE_SENTENCEPIECE CARAVAN_HAVE_ZSTD
    CARAVAN_SOURCE_PRESETS="${PROJECT_SOURCE_DIR}/jobs/presets")
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/core/include
    ${PROJECT_BINARY_DIR}/core/include)
  target_link_libraries(${name} PUBLIC fmt::fmt yaml-cpp nlohmann_json::nlohmann_json OpenSSL::Crypto
    hdf5::hdf5 MPI::MPI_CXX PkgConfig::SECCOMP PkgConfig::PCRE2 PkgConfig::SENTENCEPIECE PkgConfig::ZSTD ZLIB::ZLIB simdjson::simdjson)
endfunction()

caravan_fuzz_library(fuzz_readers FLAGS ${CARAVAN_SANITIZE} FOLDERS core/base core/plan core/tensor io/files
  io/safetensors io/checkpoint io/data io/hdf5 io/hf io/meta io/text jobs/job
  SOURCES ${PROJECT_SOURCE_DIR}/jobs/setup/shared_files.cpp)
caravan_fuzz_library(fuzz_readers_isolated FLAGS FOLDERS core/base core/tensor io/files io/hdf5)

add_custom_target(fuzzers)
foreach(target IN LISTS CARAVAN_FUZZ_TARGETS)
  add_executable(fuzz_${target} EXCLUDE_FROM_ALL libfuzzer.cpp ${target}.cpp)
  target_compile_definitions(fuzz_${target} PRIVATE CARAVAN_FUZZ_TARGET=${target})
  set(readers fuzz_readers)
  if(target IN_LIST CARAVAN_FUZZ_ISOLATED)
    set(readers fuzz_readers_isolated)
  endif()
  target_link_libraries(fuzz_${target} PRIVATE ${readers})
  target_link_options(fuzz_${target} PRIVATE -fsanitize=fuzzer $<TARGET_PROPERTY:${readers},COMPILE_OPTIONS>)
  add_dependencies(fuzzers fuzz_${target})
endforeach()
