# CARAVAN_MPI_NAME: implementation and major version of the MPI that was found, as its header mpi.h says: nothing is run for it, for
# a login node may not run MPI programs. An MPI_Comm is a pointer in Open MPI and an int in MPICH, so the name is part of the fingerprint.
# Those that are built on MPICH define its version too, so they come first.
function(caravan_mpi_name header variable)
  foreach(known I_MPI_VERSION=Intel-MPI CRAY_MPICH_VERSION=Cray-MPICH MVAPICH2_VERSION=MVAPICH MVAPICH_VERSION=MVAPICH
      MPICH_VERSION=MPICH OMPI_MAJOR_VERSION=Open-MPI MPI_VERSION=other-MPI)
    string(REPLACE "=" ";" parts ${known})
    list(GET parts 0 macro)
    list(GET parts 1 name)
    file(STRINGS "${header}" lines REGEX "^#[ \t]*define[ \t]+${macro}[ \t]+\"?[0-9]")
    if(lines)
      list(GET lines 0 line)
      string(REGEX REPLACE "^#[ \t]*define[ \t]+${macro}[ \t]+\"?([0-9]+).*" "\\1" major "${line}")
      set(${variable} "${name}-v${major}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
  message(FATAL_ERROR "${header} does not say which MPI it is (none of its known version macros is in it). Is it MPI's own header?")
endfunction()

set(CARAVAN_MPI_NAME "")
if(MPI_CXX_FOUND)
  find_file(CARAVAN_MPI_HEADER mpi.h HINTS ${MPI_CXX_HEADER_DIR} ${MPI_CXX_INCLUDE_DIRS} NO_CACHE NO_DEFAULT_PATH)
  if(NOT CARAVAN_MPI_HEADER)  # a compiler wrapper that knows by itself where it is
    find_file(CARAVAN_MPI_HEADER mpi.h NO_CACHE REQUIRED)
  endif()
  caravan_mpi_name(${CARAVAN_MPI_HEADER} CARAVAN_MPI_NAME)
endif()
