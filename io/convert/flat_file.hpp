#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "io/convert/made_tensor.hpp"

namespace caravan::io {

/// A file of which every byte's place is known before it is written: texts, and tensors between them.
struct FlatFile {
  struct Text {
    std::uint64_t offset = 0;
    std::string bytes;
  };
  struct Placed {
    MadeTensor tensor;
    std::uint64_t offset = 0;
  };
  std::string name;
  std::uint64_t bytes = 0;
  std::vector<Text> texts;
  std::vector<Placed> tensors;
};

/// A safetensors file of these tensors, which it orders.
FlatFile safetensors_file(std::string name, std::vector<MadeTensor> tensors);

/// A block of a tensor of one of several files, and where it goes.
struct FlatBlock {
  std::size_t file = 0, tensor = 0;
  Box block;
  std::uint64_t offset = 0, bytes = 0;
};
/// All of them in the order of the files.
std::vector<FlatBlock> blocks_of(std::span<const FlatFile> files);

/// [one writer, first] Makes the files in the folder, takes the disk's space for them and writes their texts.
void create_files(const std::string& folder, std::span<const FlatFile> files);

/// [one writer, last] Adds texts to a file that stands there.
void add_texts(const std::string& folder, const std::string& name, std::span<const FlatFile::Text> texts);

/// Told of every block that was written, by any of several threads.
using SeeBlock = std::function<void(std::size_t index, std::span<const std::byte> bytes)>;

/// [any writer, beside the others] Makes and writes blocks, on at most `threads` threads; on the disk when it
/// returns. Holds as many at a time, up to 256 MiB.
void fill_files(const std::string& folder, std::span<const FlatFile> files, std::span<const FlatBlock> blocks,
                const WeightSource& source, int threads, const SeeBlock& see);

}  // namespace caravan::io
