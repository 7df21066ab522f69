#include "io/hdf5/h5_file.hpp"

namespace caravan::io::h5 {
namespace {

Handle access() {
  Handle list(checked(H5Pcreate(H5P_FILE_ACCESS), "make", "a file access list"), H5Pclose);
  check(H5Pset_fclose_degree(list, H5F_CLOSE_STRONG), "set", "the close degree");
  check(H5Pset_file_locking(list, false, true), "switch off", "file locking");
  return list;
}

}  // namespace

H5File H5File::create(const std::string& path) {
  start();
  return H5File(path,
                Handle(checked(H5Fcreate(path.c_str(), H5F_ACC_EXCL, H5P_DEFAULT, access()), "create", path),
                       H5Fclose));
}

H5File H5File::open_to_read(const std::string& path) {
  start();
  return H5File(path,
                Handle(checked(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access()), "open", path), H5Fclose));
}

void H5File::finish() {
  check(H5Fflush(handle_, H5F_SCOPE_LOCAL), "write", path_);
  handle_.close(path_);
}

}  // namespace caravan::io::h5
