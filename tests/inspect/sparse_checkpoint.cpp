#include "tests/inspect/sparse_checkpoint.hpp"

#include <algorithm>
#include <filesystem>
#include <map>

#include "io/checkpoint/layout.hpp"
#include "io/checkpoint/manifest.hpp"
#include "io/checkpoint/verify.hpp"
#include "io/files/digest.hpp"
#include "io/hdf5/attribute.hpp"
#include "io/hdf5/dataset.hpp"

namespace caravan::test {
namespace {

/// Digests of blocks of zeros, each length digested once.
class ZeroDigests {
 public:
  std::vector<std::uint64_t> of(std::uint64_t bytes) {
    std::vector<std::uint64_t> blocks(bytes / io::kBlockBytes, digest(io::kBlockBytes));
    if (bytes % io::kBlockBytes > 0) blocks.push_back(digest(bytes % io::kBlockBytes));
    return blocks;
  }

 private:
  std::uint64_t digest(std::uint64_t bytes) {
    const auto known = known_.find(bytes);
    if (known != known_.end()) return known->second;
    return known_[bytes] = io::digest_of(std::span(zeros_).first(bytes));
  }

  std::vector<std::byte> zeros_ = std::vector<std::byte>(io::kBlockBytes);
  std::map<std::uint64_t, std::uint64_t> known_;
};

}  // namespace

std::string write_sparse_checkpoint(const std::string& run, const std::vector<io::TensorRecord>& tensors,
                                    const std::string& job_yaml) {
  const std::string folder = run + "/checkpoints/" + io::step_folder(1);
  std::filesystem::create_directories(folder);
  io::FileRecord record;
  record.name = io::kCheckpointFile;
  const std::string path = folder + "/" + record.name;
  ZeroDigests digests;
  auto file = io::h5::H5File::create(path);
  io::h5::write_attribute(file, "/", "job", job_yaml);
  for (const io::TensorRecord& tensor : tensors) {
    auto dataset = io::h5::Dataset::create(file, tensor.name, tensor.dtype, tensor.shape);
    record.pieces.push_back({io::Piece::whole(tensor), dataset.file_offset(), digests.of(tensor.bytes())});
    dataset.close();
  }
  file.finish();
  record.bytes = std::filesystem::file_size(path);
  record.structure = io::structure_digest(folder, record);
  io::Manifest manifest;
  manifest.step = 1;
  manifest.layout = "one rank";
  manifest.creator = "caravan test";
  manifest.job = job_yaml;
  manifest.files = {record};
  io::write_manifest(folder, manifest);
  return folder;
}

}  // namespace caravan::test
