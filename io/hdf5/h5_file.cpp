#include "io/hdf5/h5_file.hpp"

#include "caravan/check.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include "io/files/file.hpp"

namespace caravan::io::h5 {
namespace {

Handle access() {
  Handle list(checked(H5Pcreate(H5P_FILE_ACCESS), "make", "a file access list"), H5Pclose);
  check(H5Pset_fclose_degree(list, H5F_CLOSE_STRONG), "set", "the close degree");
  check(H5Pset_file_locking(list, false, true), "switch off", "file locking");
  check(H5Pset_alignment(list, kAlignment, kAlignment), "set", "the alignment");
  return list;
}

/// HDF5 asks for memory to copy an image into, and gets the image itself.
void* lend_image(size_t, H5FD_file_image_op_t, void* image) {
  return image;
}
void* copy_nothing(void* to, const void*, size_t, H5FD_file_image_op_t, void*) {
  return to;
}
void* refuse_growth(void*, size_t, H5FD_file_image_op_t, void*) {
  return nullptr;
}
herr_t keep_image(void*, H5FD_file_image_op_t, void*) {
  return 0;
}
void* share(void* image) {
  return image;
}
herr_t keep(void*) {
  return 0;
}

Handle image_access(std::span<const std::byte> image) {
  constexpr std::size_t kGrowth = 65536;
  Handle list = access();
  void* const bytes = const_cast<std::byte*>(image.data());  // opened read-only
  H5FD_file_image_callbacks_t callbacks{lend_image, copy_nothing, refuse_growth, keep_image,
                                        share,      keep,         bytes};
  check(H5Pset_fapl_core(list, kGrowth, false), "set", "the driver");
  check(H5Pset_file_image_callbacks(list, &callbacks), "set", "the callbacks of an image");
  check(H5Pset_file_image(list, bytes, image.size()), "set", "an image");
  return list;
}

}  // namespace

H5File H5File::create(const std::string& path) {
  const Guard guard;
  start();
  return H5File(path,
                Handle(checked(H5Fcreate(path.c_str(), H5F_ACC_EXCL, H5P_DEFAULT, access()), "create", path),
                       H5Fclose));
}

H5File H5File::open_to_read(const std::string& path) {
  static_cast<void>(File(path, O_RDONLY));  // HDF5 would wait for a FIFO's writer
  const Guard guard;
  start();
  return H5File(path,
                Handle(checked(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access()), "open", path), H5Fclose));
}

H5File H5File::open_image(const std::string& path, std::span<const std::byte> image) {
  constexpr const char* kNoFile = "/dev/null/image";  // HDF5 refuses an image of the name of a file
  CARAVAN_CHECK(!image.empty(), IoError, fmt::format("{} is empty (no HDF5 file)", path));
  start();
  return H5File(
      path, Handle(checked(H5Fopen(kNoFile, H5F_ACC_RDONLY, image_access(image)), "open", path), H5Fclose));
}

void H5File::finish() {
  const Guard guard;
  check(H5Fflush(handle_, H5F_SCOPE_LOCAL), "write", path_);
  handle_.close(path_);
}

}  // namespace caravan::io::h5
