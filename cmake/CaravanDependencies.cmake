# One place for what caravan stands on. A missing package stops with the Debian package that brings it.
macro(caravan_require package debian)
  find_package(${package} QUIET ${ARGN})
  if(NOT ${package}_FOUND)
    message(FATAL_ERROR "${package} not found. Install it with: apt-get install ${debian}")
  endif()
endmacro()

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
set(MPI_DETERMINE_LIBRARY_VERSION ON)
caravan_require(MPI libopenmpi-dev COMPONENTS CXX)
set(HDF5_PREFER_PARALLEL ON)
caravan_require(HDF5 libhdf5-openmpi-dev COMPONENTS C)
# An MPI_Comm is a pointer in Open MPI and an int in MPICH: implementation and major version are part of the fingerprint.
string(REGEX MATCH "^[^,]*v[0-9]+" CARAVAN_MPI_NAME "${MPI_CXX_LIBRARY_VERSION_STRING}")
string(REPLACE " " "-" CARAVAN_MPI_NAME "${CARAVAN_MPI_NAME}")
caravan_require(yaml-cpp libyaml-cpp-dev)
caravan_require(fmt libfmt-dev)
caravan_require(spdlog libspdlog-dev)
caravan_require(nlohmann_json nlohmann-json3-dev)
caravan_require(CLI11 libcli11-dev)
caravan_require(OpenSSL libssl-dev)
caravan_require(ZLIB zlib1g-dev)
# Texts that are compressed with zstd; a build without it refuses them by name.
pkg_check_modules(ZSTD IMPORTED_TARGET libzstd)
# Digests at the speed of memory; a build without it has its own, at half of that.
find_path(XXHASH_INCLUDE_DIR xxhash.h)
set(CARAVAN_HAVE_XXHASH OFF)
if(XXHASH_INCLUDE_DIR)
  set(CARAVAN_HAVE_XXHASH ON)
endif()
# Tokenizers split texts with PCRE2; tokenizer.json and texts in JSON lines are read with simdjson. A build without them refuses both.
pkg_check_modules(PCRE2 IMPORTED_TARGET libpcre2-8)
# Restricts the process that reads HDF5 files of others; a build without it does not read them.
pkg_check_modules(SECCOMP IMPORTED_TARGET libseccomp)
pkg_check_modules(SENTENCEPIECE IMPORTED_TARGET sentencepiece)
find_package(simdjson QUIET)
find_package(Eigen3 QUIET)
# The host device's parts; a machine without them (a GPU node, say) builds without that plugin.
find_package(Kokkos QUIET)
set(CARAVAN_HAVE_HOST_DEVICE OFF)
if(Kokkos_FOUND AND TARGET Eigen3::Eigen)
  set(CARAVAN_HAVE_HOST_DEVICE ON)
endif()
include(CaravanCuda)           # CARAVAN_HAVE_CUDA_DEVICE and why not
if(CARAVAN_BUILD_TESTS)
  caravan_require(GTest libgtest-dev)
endif()
