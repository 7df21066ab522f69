# shellcheck shell=bash
# How ranks are started on one machine by the MPI that a build was made with. Sourced by scripts that start ranks themselves.

# set_launcher BUILD: the array `launcher`, to be followed by -n RANKS and a program. The MPI is the build's, not the first in PATH: another
# one's mpirun would start so many jobs of one rank each.
set_launcher() {
  local mpiexec
  mpiexec=$(sed -nE 's/^MPIEXEC_EXECUTABLE:[^=]*=(.+)$/\1/p' "$1/CMakeCache.txt")
  if [ ! -x "$mpiexec" ]; then
    echo "no launcher of MPI ranks: $1/CMakeCache.txt has MPIEXEC_EXECUTABLE='$mpiexec'. Configure with -DMPIEXEC_EXECUTABLE=?" >&2
    return 1
  fi
  set_launcher_of "$mpiexec"
}

# set_launcher_of MPIEXEC: the same for a launcher by its path.
set_launcher_of() {
  launcher=("$1")
  case "$("$1" --version 2>&1)" in
    # It counts cores and binds ranks to them, and root must insist.
    *"Open MPI"* | *OpenRTE* | *PRRTE*)
      launcher+=(--oversubscribe --bind-to none)
      if [ "$(id -u)" -eq 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi
      ;;
  esac
}
