#include "io/checkpoint/verify.hpp"

#include "caravan/check.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "io/files/digest.hpp"
#include "io/files/file.hpp"

namespace caravan::io {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{4} << 20;
constexpr std::size_t kMostNamed = 5;

/// Adds a stretch of a file to a digest through one buffer.
class Feeder {
 public:
  explicit Feeder(const File& file)
      : file_(file), buffer_(std::min<std::uint64_t>(kPieceBytes, file.size())) {}

  void feed(const Region& region, Digest& digest) {
    for (std::uint64_t at = region.begin; at < region.end; at += buffer_.size()) {
      const auto piece = std::span(buffer_).first(std::min<std::uint64_t>(buffer_.size(), region.end - at));
      file_.read_at(at, piece);
      digest.add(piece);
    }
  }

 private:
  const File& file_;
  std::vector<std::byte> buffer_;
};

File open_recorded(const std::string& folder, const FileRecord& record) {
  return File((std::filesystem::path(folder) / record.name).string(), O_RDONLY);
}

std::vector<std::string> damaged_tensors(const File& file, const FileRecord& record) {
  Feeder feeder(file);
  std::vector<std::string> damaged;
  for (const Region& region : regions_of(record)) {
    if (!region.tensor) continue;
    Digest digest;
    feeder.feed(region, digest);
    if (digest.text() != region.tensor->digest) damaged.push_back(region.tensor->name);
  }
  return damaged;
}

std::string listed(const std::vector<std::string>& names) {
  const auto end = names.begin() + static_cast<std::ptrdiff_t>(std::min(names.size(), kMostNamed));
  const std::size_t more = names.size() - std::min(names.size(), kMostNamed);
  return fmt::format("{}{}", fmt::join(names.begin(), end, ", "),
                     more ? fmt::format(" and {} more", more) : "");
}

void verify_file(const std::string& folder, const FileRecord& record, Check check) {
  const File file = open_recorded(folder, record);
  CARAVAN_CHECK(file.size() == record.bytes, IoError,
                fmt::format("{} has {} bytes instead of {} ({})", file.path(), file.size(), record.bytes,
                            file.size() < record.bytes ? "truncated" : "changed"));
  CARAVAN_CHECK(structure_digest(folder, record) == record.structure, IoError,
                fmt::format("{} is damaged outside its tensors (HDF5's own records do not have their digest)",
                            file.path()));
  if (check == Check::structure) return;
  const auto damaged = damaged_tensors(file, record);
  CARAVAN_CHECK(damaged.empty(), IoError,
                fmt::format("{} is damaged in {} (the digest differs from the manifest's)", file.path(),
                            listed(damaged)));
}

}  // namespace

std::string structure_digest(const std::string& folder, const FileRecord& record) {
  const File file = open_recorded(folder, record);
  Feeder feeder(file);
  Digest digest;
  for (const Region& region : regions_of(record)) {
    if (!region.tensor) feeder.feed(region, digest);
  }
  return digest.text();
}

void verify_files(const std::string& folder, const Manifest& manifest, Check check) {
  for (const FileRecord& record : manifest.files) verify_file(folder, record, check);
}

}  // namespace caravan::io
