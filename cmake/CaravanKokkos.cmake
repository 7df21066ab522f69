# CARAVAN_HAVE_KOKKOS and the target caravan_kokkos. That of Debian's Trilinos names an include directory that does not exist; the
# header and the library do.
set(CARAVAN_HAVE_KOKKOS OFF)
set(Kokkos_FOUND OFF)
if(NOT "Kokkos" IN_LIST CARAVAN_WITHOUT)
  find_package(Kokkos QUIET)
endif()
if(NOT Kokkos_FOUND)
  return()
endif()
find_path(CARAVAN_KOKKOS_INCLUDE_DIR Kokkos_Core.hpp PATH_SUFFIXES trilinos
  HINTS ${Kokkos_INCLUDE_DIRS} ${Kokkos_DIR}/../../../include)
find_library(CARAVAN_KOKKOS_LIBRARY NAMES kokkoscore trilinos_kokkoscore
  HINTS ${Kokkos_LIBRARY_DIRS} ${Kokkos_DIR}/../..)
if(CARAVAN_KOKKOS_INCLUDE_DIR AND CARAVAN_KOKKOS_LIBRARY)
  add_library(caravan_kokkos INTERFACE)
  target_include_directories(caravan_kokkos SYSTEM INTERFACE ${CARAVAN_KOKKOS_INCLUDE_DIR})
  target_link_libraries(caravan_kokkos INTERFACE ${CARAVAN_KOKKOS_LIBRARY})
  set(CARAVAN_HAVE_KOKKOS ON)
endif()
