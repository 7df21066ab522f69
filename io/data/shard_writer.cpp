#include "io/data/shard_writer.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <filesystem>

#include "caravan/check.hpp"
#include "caravan/fingerprint.h"
#include "caravan/log.hpp"
#include "io/data/publish_folder.hpp"
#include "io/data/shard_format.hpp"
#include "io/files/file.hpp"
#include "io/files/pending_file.hpp"
#include "io/hdf5/attribute.hpp"
#include "io/hdf5/dataset.hpp"

namespace caravan::io {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kOverhead = 16 * 1024;  // of HDF5's headers and attributes

std::string parent_of(const std::string& folder) {
  const std::string parent = fs::path(folder).parent_path().string();
  return parent.empty() ? "." : parent;
}

void remove_leftovers(const std::string& folder) {
  const std::string name = fs::path(folder).filename().string();
  const auto removed =
      remove_abandoned(parent_of(folder), [&](std::string_view wanted) { return wanted == name; });
  for (const std::string& path : removed)
    log_info(fmt::format("removed {} (a preparation was ended before it was complete)", path));
}

/// HDF5 also fails on a full disk, but with a page of its own words.
void require_room(const std::string& folder, std::uint64_t bytes) {
  std::error_code error;
  const fs::space_info space = fs::space(folder, error);
  CARAVAN_CHECK(
      error || space.available >= bytes, IoError,
      fmt::format("{}: a shard of {} bytes does not fit (the disk is full: {} bytes are free). Free some, or "
                  "name another folder?",
                  folder, bytes, space.available));
}

void refuse_occupied(const std::string& folder) {
  if (!fs::exists(fs::symlink_status(folder))) return;
  CARAVAN_CHECK(fs::is_directory(folder), IoError,
                fmt::format("{} is a file (token shards need a folder). Name another?", folder));
  for (const auto& entry : fs::directory_iterator(folder))
    CARAVAN_CHECK(
        !count_in_shard_name(entry.path().filename().string()) && !has_shard_manifest(folder), IoError,
        fmt::format(
            "{} holds token shards already (they are never replaced). Remove them, or name another folder?",
            folder));
}

/// Gives the range of the file that the values take, without digests.
template <class T>
RangeRecord write_dataset(const h5::H5File& file, const std::string& name, hid_t file_type, hid_t memory_type,
                          const std::vector<T>& values) {
  const hsize_t extent = values.size();
  const h5::Handle space(h5::checked(H5Screate_simple(1, &extent, nullptr), "make", "a data space"),
                         H5Sclose);
  const h5::Handle list(h5::checked(H5Pcreate(H5P_DATASET_CREATE), "make", "a dataset creation list"),
                        H5Pclose);
  h5::check(H5Pset_alloc_time(list, H5D_ALLOC_TIME_EARLY), "set", "the allocation time");
  h5::check(H5Pset_obj_track_times(list, false), "switch off", "time stamps");
  h5::Handle dataset(
      h5::checked(H5Dcreate2(file.id(), name.c_str(), file_type, space, H5P_DEFAULT, list, H5P_DEFAULT),
                  "create dataset", name),
      H5Dclose);
  RangeRecord range;
  if (!values.empty()) {
    h5::check(H5Dwrite(dataset, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), "write dataset",
              name);
    range = {H5Dget_offset(dataset), values.size() * H5Tget_size(file_type), {}};
  }
  dataset.close(name);
  return range;
}

void write_facts(const h5::H5File& file, const ShardFacts& facts) {
  h5::write_attribute(file, "/", "format", std::string(kShardFormat));
  h5::write_attribute(file, "/", "version", kShardVersion);
  h5::write_attribute(file, "/", "vocab_size", facts.vocab_size);
  h5::write_attribute(file, "/", "tokenizer", facts.tokenizer);
  h5::write_attribute(file, "/", "tokenizer_sha256", facts.tokenizer_sha256);
  h5::write_attribute(file, "/", "creator", std::string("caravan " CARAVAN_VERSION));
}

}  // namespace

ShardWriter::ShardWriter(std::string folder, ShardFacts facts, std::int64_t tokens_a_shard)
    : folder_(std::move(folder)),
      manifest_{std::move(facts), {}, {}},
      type_(token_type_for(manifest_.facts.vocab_size)),
      tokens_a_shard_(tokens_a_shard) {
  while (folder_.size() > 1 && folder_.ends_with('/')) folder_.pop_back();
  refuse_occupied(folder_);
  remove_leftovers(folder_);
  beside_.emplace(parent_of(folder_), fs::path(folder_).filename().string());
}

void ShardWriter::add_document(std::span<const std::int32_t> tokens) {
  if (tokens.empty()) return;
  const auto size = static_cast<std::int64_t>(tokens.size());
  const auto held = static_cast<std::int64_t>(tokens_.size());
  if (held > 0 && held + size > tokens_a_shard_) write_shard();
  starts_.push_back(static_cast<std::int64_t>(tokens_.size()));
  const std::int64_t start = written_ + starts_.back();
  digest_.add_starts({&start, 1});
  while (!tokens.empty()) {
    const auto room = static_cast<std::size_t>(tokens_a_shard_) - tokens_.size();
    const auto part = tokens.first(std::min(room, tokens.size()));
    append(part);
    tokens = tokens.subspan(part.size());
    if (!tokens.empty()) write_shard();
  }
}

void ShardWriter::append(std::span<const std::int32_t> tokens) {
  for (std::int32_t id : tokens)
    CARAVAN_CHECK(
        id >= 0 && id < manifest_.facts.vocab_size, IoError,
        fmt::format("token id {} (the vocabulary has the ids 0 to {})", id, manifest_.facts.vocab_size - 1));
  digest_.add_tokens(tokens);
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
}

void ShardWriter::write_shard() {
  const std::string path = beside(static_cast<int>(manifest_.shards.size()));
  require_room(beside_->path(),
               tokens_.size() * bytes_of(type_) + starts_.size() * sizeof(std::int64_t) + kOverhead);
  h5::H5File file = h5::H5File::create(path);
  write_facts(file, manifest_.facts);
  const auto tokens = write_dataset(file, "tokens", hdf5_type(type_), H5T_NATIVE_INT32, tokens_);
  const auto starts = write_dataset(file, "document_starts", H5T_STD_I64LE, H5T_NATIVE_INT64, starts_);
  file.finish();
  File(path, O_RDONLY).sync();
  manifest_.shards.push_back(seal_shard(path, type_, tokens, starts));
  written_ += static_cast<std::int64_t>(tokens_.size());
  tokens_.clear();
  starts_.clear();
}

void ShardWriter::add_file(const std::string& name, const std::string& bytes) {
  PendingFile file((fs::path(beside_->path()) / name).string());
  file.write(std::as_bytes(std::span(bytes)));
  file.commit();
}

int ShardWriter::finish() {
  if (!tokens_.empty()) write_shard();
  const auto shards = static_cast<int>(manifest_.shards.size());
  CARAVAN_CHECK(shards > 0, IoError,
                "no tokens in the input (there is nothing to write). Is the --input the right one?");
  for (int shard = 0; shard < shards; ++shard) {
    ShardRecord& record = manifest_.shards[static_cast<std::size_t>(shard)];
    record.name = shard_name(shard, shards);
    fs::rename(beside(shard), fs::path(beside_->path()) / record.name);
  }
  manifest_.identity = digest_.text();
  write_shard_manifest(beside_->path(), manifest_);
  publish_folder(beside_->path(), folder_, kShardManifestFile);
  beside_->let_go();
  return shards;
}

std::string ShardWriter::beside(int shard) const {
  return fmt::format("{}/shard-{}.h5", beside_->path(), shard);
}

}  // namespace caravan::io
