# Everything that caravan stands on is looked for before anything is complained about: CaravanMissing.cmake tells.
include(CaravanMissing)
include(CheckCXXSourceCompiles)

check_cxx_source_compiles("
  #include <barrier>
  #include <charconv>
  #include <concepts>
  #include <source_location>
  #include <span>
  template <std::integral T> T first(std::span<const T> values) { return values.front(); }
  int main() {
    const char text[] = \"1.5\";
    double value = 0;
    std::from_chars(text, text + 3, value);
    const int one = 1;
    return first(std::span<const int>(&one, 1)) + std::source_location::current().line() + int(value);
  }" CARAVAN_HAVE_CXX20)
caravan_found("C++20" CARAVAN_HAVE_CXX20)
find_package(Threads REQUIRED)
caravan_look_for(MPI MPI COMPONENTS CXX)
include(CaravanMpiName)
# Nothing here needs a parallel HDF5, and a serial one goes with every MPI.
option(HDF5_PREFER_PARALLEL "Take a parallel HDF5 where both are found" OFF)
caravan_look_for(HDF5 HDF5 COMPONENTS C)
include(CaravanHdf5Mpi)
foreach(package yaml-cpp fmt nlohmann_json CLI11 OpenSSL)
  caravan_look_for(${package} ${package})
endforeach()
caravan_look_for(zlib ZLIB)

# What a build can do without.
caravan_look_for(pkg-config PkgConfig)
caravan_look_for_module(libzstd ZSTD libzstd)
caravan_look_for_module(PCRE2 PCRE2 libpcre2-8)
caravan_look_for_module(libseccomp SECCOMP libseccomp)
caravan_look_for_module(SentencePiece SENTENCEPIECE sentencepiece)
caravan_look_for(simdjson simdjson)
set(CARAVAN_HAVE_TOKENIZERS OFF)
if(PCRE2_FOUND AND simdjson_FOUND)
  set(CARAVAN_HAVE_TOKENIZERS ON)
endif()
find_path(XXHASH_INCLUDE_DIR xxhash.h)
set(CARAVAN_HAVE_XXHASH OFF)
if(XXHASH_INCLUDE_DIR AND NOT "xxhash" IN_LIST CARAVAN_WITHOUT)
  set(CARAVAN_HAVE_XXHASH ON)
endif()
caravan_found(xxhash CARAVAN_HAVE_XXHASH)
# The host device's parts; a machine without them (a GPU node, say) builds without that plugin.
caravan_look_for(Eigen Eigen3)
caravan_look_for(OpenMP OpenMP COMPONENTS CXX)
include(CaravanKokkos)
caravan_found(Kokkos CARAVAN_HAVE_KOKKOS)
set(CARAVAN_HAVE_HOST_DEVICE OFF)
if(CARAVAN_HAVE_KOKKOS AND TARGET Eigen3::Eigen AND OpenMP_FOUND)
  set(CARAVAN_HAVE_HOST_DEVICE ON)
endif()
include(CaravanCuda)           # CARAVAN_HAVE_CUDA_DEVICE and why not
if(CARAVAN_CUDA)
  caravan_found(CUDA CMAKE_CUDA_COMPILER)
  caravan_found(cuDNN CUDNN_LIBRARY)
  caravan_found(NCCL CARAVAN_HAVE_NCCL)
endif()
if(CARAVAN_BUILD_TESTS)
  if(NOT "GoogleTest" IN_LIST CARAVAN_WITHOUT)
    find_package(GTest QUIET)
  endif()
  if(NOT TARGET GTest::gmock)  # Debian's GoogleMock is a package of its own
    set(CARAVAN_BUILD_TESTS OFF)
  endif()
  caravan_found(GoogleTest CARAVAN_BUILD_TESTS)
endif()
caravan_stop_without_needed()
