# cmake -DSOURCE=… -DWORK=… -P mpi_name.cmake: the name of an MPI by its header, as each vendor's has its version; what says none is refused.
cmake_minimum_required(VERSION 3.22)
include(${SOURCE}/cmake/CaravanMpiName.cmake)

function(expect_name expected)
  string(REPLACE "|" "\n" text "${ARGN}")
  file(WRITE ${WORK}/mpi.h "/* OMPI_MAJOR_VERSION 9 in a comment */\n${text}\n")
  caravan_mpi_name(${WORK}/mpi.h name)
  if(NOT name STREQUAL expected)
    message(FATAL_ERROR "'${ARGN}' gives ${name}, not ${expected}")
  endif()
endfunction()

if(REFUSED)  # in a process of its own: it must end it
  file(WRITE ${WORK}/mpi.h "int MPI_Init(int*, char***);\n")
  caravan_mpi_name(${WORK}/mpi.h name)
  return()
endif()
expect_name(Open-MPI-v4 "#define MPI_VERSION 3|#define OMPI_MAJOR_VERSION 4|#define OMPI_MINOR_VERSION 1")
expect_name(Open-MPI-v5 "# define OMPI_MAJOR_VERSION  5")
expect_name(MPICH-v4 "#define MPI_VERSION    4|#define MPICH_VERSION \"4.0.2\"|#define MPICH_NUMVERSION 40002300")
expect_name(Intel-MPI-v2021 "#define MPICH_VERSION \"3.4a2\"|#define I_MPI_VERSION \"2021.10.0\"")
expect_name(Cray-MPICH-v8 "#define MPICH_VERSION \"3.4a2\"|#define CRAY_MPICH_VERSION 8.1.28.29")
expect_name(MVAPICH-v2 "#define MPICH_VERSION \"3.2.1\"|#define MVAPICH2_VERSION \"2.3.7\"")
expect_name(other-MPI-v3 "#define MPI_VERSION 3")
execute_process(COMMAND ${CMAKE_COMMAND} -DSOURCE=${SOURCE} -DWORK=${WORK} -DREFUSED=ON -P ${CMAKE_CURRENT_LIST_FILE}
  RESULT_VARIABLE result ERROR_VARIABLE error)
string(REGEX REPLACE "[ \n]+" " " error "${error}")  # CMake breaks lines where it likes
if(result EQUAL 0 OR NOT error MATCHES "does not say which MPI it is")
  message(FATAL_ERROR "a header without a version is not refused: ${result} ${error}")
endif()
