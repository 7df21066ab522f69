# What caravan is built from, a row a thing; CMake's report and jobs/install_dependencies.sh read the same rows.
# Roles: needed; optional (a build without it lacks what the fourth field says); build (tools); test (of tests alone).
# Names hold for Debian 12 and Ubuntu 24.04; Rocky has some of its in EPEL and CRB, SLES in its Package Hub.
# thing | role | what it is for | what is lost without it | apt | dnf | zypper | Spack
set(CARAVAN_REQUIREMENTS
  "C++20|needed|the compiler, GCC 11 or newer or Clang 15 or newer||g++|gcc-c++ gcc-toolset-13|gcc13-c++|gcc"
  "MPI|needed|communication between ranks: Open MPI, MPICH or what is built on them||libopenmpi-dev openmpi-bin|openmpi-devel|openmpi4-devel|openmpi"
  "HDF5|needed|checkpoints, serial or parallel||libhdf5-dev|hdf5-devel|hdf5-devel|hdf5"
  "yaml-cpp|needed|YAML job files||libyaml-cpp-dev|yaml-cpp-devel|yaml-cpp-devel|yaml-cpp"
  "fmt|needed|text formatting||libfmt-dev|fmt-devel|fmt-devel|fmt"
  "nlohmann_json|needed|JSON||nlohmann-json3-dev|json-devel|nlohmann_json-devel|nlohmann-json"
  "CLI11|needed|the command line||libcli11-dev|cli11-devel|cli11-devel|cli11"
  "OpenSSL|needed|SHA-256 of plugins and files||libssl-dev|openssl-devel|libopenssl-devel|openssl"
  "zlib|needed|texts that are compressed with gzip||zlib1g-dev|zlib-devel|zlib-devel|zlib-api"
  "Kokkos|optional|loops of the host device, version 3|the host device: on processors only the slow device reference computes|libtrilinos-kokkos-dev|kokkos-devel|kokkos-devel|kokkos"
  "Eigen|optional|vectorised arithmetic of the host device|the host device: on processors only the slow device reference computes|libeigen3-dev|eigen3-devel|eigen3-devel|eigen"
  "OpenMP|optional|threads of the host device|the host device: on processors only the slow device reference computes|g++|libgomp|libgomp1|gcc"
  "CUDA|optional|the cuda device: compiler and cuBLAS|the cuda device: nothing computes on GPUs|nvidia-cuda-toolkit|cuda-toolkit|cuda-toolkit|cuda"
  "cuDNN|optional|attention of the cuda device|the cuda device: nothing computes on GPUs|libcudnn9-dev-cuda-13|cudnn9-cuda-13|cudnn9-cuda-13|cudnn"
  "NCCL|optional|tensors between GPUs|the straight way between GPUs: tensors go through host memory, which is slow|libnccl-dev|libnccl-devel|libnccl-devel|nccl"
  "pkg-config|optional|finds libzstd, PCRE2, libseccomp and SentencePiece|whatever it would have found: those four are not looked for|pkg-config|pkgconf-pkg-config|pkg-config|pkgconf"
  "PCRE2|optional|regular expressions of tokenizers|tokenizers: token shards are read, texts are refused|libpcre2-dev|pcre2-devel|pcre2-devel|pcre2"
  "simdjson|optional|tokenizer.json and JSON lines|tokenizer.json and texts in JSON: they are refused|libsimdjson-dev|simdjson-devel|simdjson-devel|simdjson"
  "SentencePiece|optional|SentencePiece tokenizers|SentencePiece tokenizers: they are refused|libsentencepiece-dev|sentencepiece-devel|sentencepiece-devel|sentencepiece"
  "libseccomp|optional|restricts the process that reads HDF5 files of others|HDF5 files of others: those without a manifest are refused|libseccomp-dev|libseccomp-devel|libseccomp-devel|libseccomp"
  "libzstd|optional|texts that are compressed with zstd|texts in zstd: they are refused|libzstd-dev|libzstd-devel|libzstd-devel|zstd"
  "xxhash|optional|digests at the speed of memory|speed of digests: own code takes its place|libxxhash-dev|xxhash-devel|xxhash-devel|xxhash"
  "GoogleTest|optional|the tests|the tests: none is built|libgtest-dev libgmock-dev|gtest-devel gmock-devel|gtest gmock|googletest"
  "cmake|build|configures the build||cmake|cmake|cmake|cmake"
  "ninja|build|runs the build||ninja-build|ninja-build|ninja|ninja"
  "ccache|build|makes a second build fast||ccache|ccache|ccache|ccache"
  "git|build|commit in logs and measurements||git|git|git|git"
  "Debian packages|build|a .deb by cpack, which asks what its files need||file dpkg-dev|||"
  "HDF5 tools|test|h5ls and h5dump, which read caravan's checkpoints||hdf5-tools|hdf5|hdf5|hdf5"
  "fuzzing|test|fuzzing of the readers of outside files: libFuzzer, its sanitizers||clang-19 libclang-rt-19-dev|clang compiler-rt|clang19|llvm"
  "King James Bible|test|the text that the quick start learns (DATA=FILE is another)||bible-kjv bible-kjv-text|||"
  "h5py|test|proves that Python reads the checkpoints||python3-h5py|python3-h5py|python3-h5py|py-h5py"
  "shellcheck|test|checks the scripts||shellcheck|ShellCheck|ShellCheck|"
  "clang-format|test|checks the layout of the sources||clang-format|clang-tools-extra|clang-tools|llvm"
  "Slurm|test|a Slurm that the tests start and stop||slurmctld slurmd slurm-client slurm-wlm-basic-plugins|slurm-slurmctld slurm-slurmd slurm|slurm-node slurm|slurm")

# caravan_requirement(THING FIELD): the field of that number in the thing's row, in the variable `field`.
function(caravan_requirement thing number)
  foreach(row IN LISTS CARAVAN_REQUIREMENTS)
    string(REPLACE "|" ";" fields "${row}")
    list(GET fields 0 name)
    if(name STREQUAL thing)
      list(GET fields ${number} found)
      set(field "${found}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
  message(FATAL_ERROR "no row '${thing}' in the table of requirements. Is it one of cmake/CaravanRequirements.cmake?")
endfunction()

# caravan_names(THING VARIABLE): its packages, as each package manager calls them.
function(caravan_names thing variable)
  set(names "")
  foreach(manager_field apt=4 dnf=5 zypper=6 Spack=7)
    string(REPLACE "=" ";" parts ${manager_field})
    list(GET parts 0 manager)
    list(GET parts 1 number)
    caravan_requirement("${thing}" ${number})
    if(field)
      list(APPEND names "${manager} ${field}")
    endif()
  endforeach()
  list(JOIN names " | " names)
  set(${variable} "${names}" PARENT_SCOPE)
endfunction()
