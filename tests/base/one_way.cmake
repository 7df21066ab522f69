# cmake -DROOT=… -P one_way.cmake: files are opened, and standard output is written, in one place each. Whoever opens
# otherwise waits for FIFOs, follows links and leaks descriptors; whoever prints otherwise loses what a full disk refuses.
cmake_minimum_required(VERSION 3.22)
set(opening "ifstream|ofstream|<fstream>|[^a-zA-Z_0-9>]fopen\\(|[^a-zA-Z_0-9>]::open\\(|[^a-zA-Z_0-9]H5F(open|create)\\(")
set(printing "std::cout|std::puts|std::putchar|[^n]printf\\(stdout|std::printf|[^a-z_]stdout[^_a-z]|fmt::print\\(")
set(may_open
  core/base/open_file.cpp           # the one
  io/files/pending_file.cpp         # outputs that are no files
  io/hdf5/h5_file.cpp               # HDF5's own, behind the one
  jobs/text_streams.cpp             # the three standard streams
  jobs/watch/stop_request.cpp       # standard error, once more
  core/plugin/component_index.cpp   # looks at what may be a plugin and refuses nothing
  jobs/setup/machine.cpp plugins/device/host/host_device.cpp)  # /proc
set(may_print jobs/text_streams.cpp)

set(errors "")
set(count 0)
function(check file pattern allowed what)
  if(file IN_LIST allowed)
    return()
  endif()
  file(STRINGS ${ROOT}/${file} lines REGEX "${pattern}")
  foreach(line IN LISTS lines)
    string(REGEX REPLACE "//.*" "" code "${line}")
    if(code MATCHES "${pattern}")
      set(errors "${errors}\n  ${file}: ${line} (${what})")
    endif()
  endforeach()
  set(errors "${errors}" PARENT_SCOPE)
endfunction()

foreach(room core io parallel plugins jobs slurm)
  file(GLOB_RECURSE files RELATIVE ${ROOT} ${ROOT}/${room}/*.cpp ${ROOT}/${room}/*.hpp ${ROOT}/${room}/*.h
    ${ROOT}/${room}/*.cu ${ROOT}/${room}/*.cuh)
  foreach(file IN LISTS files)
    check(${file} "${opening}" "${may_open}" "files are opened by caravan/open_file.hpp, io::File or io::PendingFile")
    check(${file} "${printing}" "${may_print}" "standard output is written by write_standard_output")
    math(EXPR count "${count} + 1")
  endforeach()
endforeach()
if(count EQUAL 0)
  message(FATAL_ERROR "no sources under ${ROOT}")
endif()
if(errors)
  message(FATAL_ERROR "more than one way in or out:${errors}")
endif()
message(STATUS "${count} files open and print in one way")
