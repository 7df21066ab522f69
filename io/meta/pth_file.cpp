#include "io/meta/pth_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "caravan/check.hpp"
#include "io/files/read_place.hpp"
#include "io/meta/pickle.hpp"
#include "io/meta/zip_directory.hpp"

namespace caravan::io {
namespace {

constexpr std::uint64_t kMostPickleBytes = std::uint64_t{64} << 20;
constexpr std::string_view kPickle = "/data.pkl";

using Entries = std::map<std::string, ZipEntry>;

Entries entries_of(const File& file) {
  Entries entries;
  for (ZipEntry& entry : read_zip_directory(file)) entries.emplace(entry.name, entry);
  return entries;
}

std::string text_of(const File& file, const ZipEntry& entry, std::uint64_t most) {
  CARAVAN_CHECK(entry.bytes <= most, IoError,
                fmt::format("{}: {} has {} bytes (at most {})", file.path(), entry.name, entry.bytes, most));
  std::string text(entry.bytes, '\0');
  file.read_at(entry.begin, std::as_writable_bytes(std::span(text)));
  return text;
}

/// All names begin with the folder that the pickle lies in.
const ZipEntry& find_pickle(const Entries& entries, const std::string& path) {
  const ZipEntry* found = nullptr;
  for (const auto& [name, entry] : entries) {
    if (!name.ends_with(kPickle)) continue;
    CARAVAN_CHECK(!found, IoError, fmt::format("{} has two pickles: {} and {}", path, found->name, name));
    found = &entry;
  }
  CARAVAN_CHECK(found, IoError,
                fmt::format("{} has no data.pkl (did torch.save write it, of version 1.6 or later?)", path));
  return *found;
}

TensorView place_of(const PickledTensor& tensor, const ZipEntry& storage, const std::string& path) {
  const std::uint64_t element = size_of(tensor.dtype);
  CARAVAN_CHECK(storage.bytes % element == 0 && storage.bytes / element == tensor.elements, IoError,
                fmt::format("{}: {} has {} bytes (its pickle says {} elements of {})", path, storage.name,
                            storage.bytes, tensor.elements, name_of(tensor.dtype)));
  TensorView place(reinterpret_cast<void*>(storage.begin + tensor.offset * element), tensor.dtype,
                   tensor.shape);
  place.strides = tensor.strides;
  return place;
}

}  // namespace

PthFile::PthFile(const std::string& path) : file_(path, O_RDONLY) {
  const Entries entries = entries_of(file_);
  const ZipEntry& pickle = find_pickle(entries, path);
  const std::string folder = pickle.name.substr(0, pickle.name.size() - kPickle.size());
  if (const auto order = entries.find(folder + "/byteorder"); order != entries.end())
    CARAVAN_CHECK(text_of(file_, order->second, 64) == "little", IoError,
                  fmt::format("{} has numbers of another byte order (only little-endian is read)", path));
  const PickledTensors said = read_pickled_tensors(text_of(file_, pickle, kMostPickleBytes), path);
  for (const auto& [name, tensor] : said.tensors) {
    const auto storage = entries.find(folder + "/data/" + tensor.storage);
    CARAVAN_CHECK(storage != entries.end(), IoError,
                  fmt::format("{} lacks the storage {} of '{}'", path, tensor.storage, name));
    places_.emplace(name, place_of(tensor, storage->second, path));
  }
  others_ = said.others;
}

std::vector<std::string> PthFile::names() const {
  std::vector<std::string> names;
  for (const auto& [name, place] : places_) names.push_back(name);
  return names;
}

const TensorView& PthFile::place(const std::string& name) const {
  const auto found = places_.find(name);
  CARAVAN_CHECK(found != places_.end(), IoError, fmt::format("{} has no tensor '{}'", path(), name));
  return found->second;
}

void PthFile::read_place(const TensorView& place, const TensorView& to, int threads) const {
  io::read_place(file_, place, to, threads);
}

}  // namespace caravan::io
