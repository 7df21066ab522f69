#pragma once

#include <fcntl.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "io/convert/pth_archive.hpp"
#include "io/files/file.hpp"

namespace caravan::test {

/// A tensor of f32 of which every element is `value`.
struct FilledTensor {
  Shape shape;
  float value = 0;
};

/// Writes <folder>/consolidated.<rank>.pth.
inline void write_rank(const std::string& folder, int rank,
                       const std::map<std::string, FilledTensor>& tensors) {
  std::vector<io::MadeTensor> made;
  for (const auto& [name, tensor] : tensors)
    made.push_back({name, DType::f32, tensor.shape, tensor.shape, {}});
  const io::PthArchive archive =
      io::pth_archive("consolidated.0" + std::to_string(rank) + ".pth", std::move(made));
  std::filesystem::remove(std::filesystem::path(folder) / archive.file.name);
  io::create_files(folder, std::span(&archive.file, 1));
  const io::File file((std::filesystem::path(folder) / archive.file.name).string(), O_WRONLY);
  std::vector<std::uint32_t> crcs;
  for (const auto& placed : archive.file.tensors) {
    const FilledTensor& tensor = tensors.at(placed.tensor.name);
    const std::vector<float> values(static_cast<std::size_t>(tensor.shape.count()), tensor.value);
    const auto bytes = std::as_bytes(std::span(values));
    file.write_at(placed.offset, bytes);
    crcs.push_back(io::crc32_of({reinterpret_cast<const char*>(bytes.data()), bytes.size()}));
  }
  io::add_texts(folder, archive.file.name, io::headers_of(archive, crcs));
}

}  // namespace caravan::test
